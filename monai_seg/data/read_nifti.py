"""Read NIfTI from bytes, with the checks that nibabel leaves out: the gzip checksum, the sizes, the geometry."""

from __future__ import annotations

import zlib
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from monai_seg.data.raster import Raster, Remark, UnreadableError

MAX_BYTES = 8 << 30  # of one volume once unpacked; a header that asks for more is taken for damaged
_SLACK_BYTES = 1 << 20  # room for what some writers put behind the voxels
_COPY = "copy the file again from its source, or leave the case out"
_GEOMETRY = "set the spacing and orientation in the header, or convert the original series again"
# Of a voxel. Quaternions are stored as three 4-byte numbers: near half a turn they are off by 1e-3.
_TOLERANCE = 5e-3


def nifti(content: bytes, sha256: str) -> Raster:
    """Make a raster of a NIfTI-1 or NIfTI-2 file, packed or not.

    Args:
        content: the whole file.
        sha256: of the file, to be passed on.

    Raises:
        UnreadableError: the file is damaged, or its header makes no sense.
    """
    is_packed = content[:2] == b"\x1f\x8b"
    header = _header(bytes(_unpack(content, 540)[:540]) if is_packed else content[:540])
    shape = _shape(header)
    dtype = header.get_data_dtype()
    offset = int(header.get_data_offset())
    size = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > MAX_BYTES:
        found = f"{' x '.join(map(str, shape))} voxels, {size / (1 << 30):.0f} GiB"
        raise UnreadableError("the {kind} claims an impossible size", found, _COPY)
    data = _unpack(content, size + _SLACK_BYTES) if is_packed else content
    if len(data) < size:
        raise UnreadableError("the {kind} is truncated", f"{len(data):,} of {size:,} bytes", _COPY)
    remarks = []
    if len(data) > size + _SLACK_BYTES:
        found = f"more than the {size:,} bytes that the header tells"
        remarks.append(Remark("the {kind} holds more data than its header tells", found, _COPY))
    values = np.ndarray(shape, dtype, buffer=data, offset=offset, order="F")
    if dtype.kind == "c":
        raise UnreadableError("the {kind} holds complex numbers", str(dtype), "store the magnitude")
    if dtype.kind not in "biuf":
        found = "/".join(dtype.names or ()) or str(dtype)
        raise UnreadableError("the {kind} does not hold one number per voxel", found, "store it with one, e.g. as grey")
    spatial = shape[:3]
    affine, more = _affine(header)
    channels = int(np.prod(shape[3:], dtype=object)) if len(shape) > 3 else 1
    values = _scaled(values.reshape((*spatial, channels) if channels > 1 else spatial, order="F"), header, remarks)
    return Raster(values, spatial, channels, sha256, affine, (*remarks, *more))


def _header(start: bytes) -> Any:
    kind = nib.Nifti2Header if start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Header
    try:
        # nibabel's own check sets a zero spacing to 1 and goes on; here it has to be seen.
        header = kind(start[: kind.template_dtype.itemsize], check=False)
        header.get_data_dtype()
    except (WrapStructError, HeaderDataError, ValueError, KeyError) as error:
        raise UnreadableError("the {kind} is no NIfTI file", str(error), _COPY) from error
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        found = f"magic {bytes(header['magic'])[:3]!r}"
        raise UnreadableError("the {kind} is no single-file NIfTI", found, "convert it to .nii.gz")
    return header


def _shape(header: Any) -> tuple[int, ...]:
    count = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : count + 1])
    if not 2 <= count <= 7 or any(n < 1 for n in shape):
        found = f"dim {[int(n) for n in header['dim']]}"
        raise UnreadableError("the {kind} has an impossible shape in its header", found, _COPY)
    return shape


def _affine(header: Any) -> tuple[np.ndarray | None, list[Remark]]:
    """The matrix from voxels to millimetres, None where it is useless, and what is wrong with it."""
    count = min(int(header["dim"][0]), 3)
    spacing = [float(size) for size in header["pixdim"][1 : count + 1]]
    if not all(np.isfinite(spacing)) or any(size <= 0 for size in spacing):
        return None, [Remark("the {kind} has an impossible spacing", f"pixdim {_numbers(spacing)}", _GEOMETRY)]
    try:
        qform, sform, affine = header.get_qform(), header.get_sform(), header.get_best_affine()
    except (HeaderDataError, ValueError) as error:
        return None, [Remark("the {kind} has an impossible orientation", str(error), _GEOMETRY)]
    matrix = affine[:3, :3]
    # The volume of a voxel against the box of its edges: 0 where two edges point the same way.
    box = float(np.prod(np.linalg.norm(matrix, axis=0)))
    if not np.isfinite(affine).all() or box == 0 or abs(float(np.linalg.det(matrix))) < 1e-6 * box:
        rows = "; ".join(_numbers(row) for row in affine[:3])
        return None, [Remark("the {kind} has a singular affine", rows, _GEOMETRY)]
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        far = float(np.abs(qform - sform).max())
        if far > _TOLERANCE * min(spacing):
            found = f"up to {far:.3g} mm apart"
            mend = "the sform is used; delete the one that is wrong"
            return affine, [Remark("sform and qform of the {kind} differ", found, mend, is_fault=False)]
    return affine, []


def _scaled(values: np.ndarray, header: Any, remarks: list[Remark]) -> np.ndarray:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isinf(slope) or (np.isfinite(slope) and slope != 0 and not np.isfinite(inter)):
        found = f"scl_slope {slope:g}, scl_inter {inter:g}"
        remarks.append(Remark("the {kind} has an impossible scaling", found, "set scl_slope to 1 and scl_inter to 0"))
        return values
    if not np.isfinite(slope) or slope == 0 or (slope == 1 and inter == 0):
        return values
    return values * slope + inter


def _unpack(content: bytes, limit: int) -> bytearray:
    """Unpack gzip up to a limit of bytes; where the end comes first, its checksum is verified."""
    data = bytearray()
    rest = content
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            while rest and not member.eof:
                data += member.decompress(rest, min(1 << 22, limit + 1 - len(data)))
                rest = member.unconsumed_tail
                if len(data) > limit:
                    return data
        except zlib.error as error:
            found = "gzip: " + str(error).rpartition("data: ")[2]
            raise UnreadableError("the {kind} is damaged", found, _COPY) from error
        if not member.eof:
            raise UnreadableError("the {kind} is truncated", f"gzip ends early, after {len(data):,} bytes", _COPY)
        rest = member.unused_data.lstrip(b"\0")  # several members may follow each other, and padding the last one
    return data


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.4g}" for value in values)
