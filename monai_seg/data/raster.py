"""One image file read to its end: the values, the geometry, and what is odd about the file itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monai_seg.data.layouts.files import extension

if TYPE_CHECKING:
    import numpy as np

# Told once where all images of a data set have it; the word for it joins the reader and the check.
OPAQUE_ALPHA = "the {kind} has an alpha channel, opaque everywhere"


@dataclass(frozen=True)
class Remark:
    """Something odd about a file.

    Args:
        problem: what is wrong, said of "the image" or "the label" (``{kind}`` stands for the word).
        found: what was seen.
        mend: what to do about it.
        is_fault: whether it must be mended; otherwise it is a warning.
    """

    problem: str
    found: str
    mend: str
    is_fault: bool = True


class UnreadableError(ValueError):
    """A file cannot be read; ``remark`` says why."""

    def __init__(self, problem: str, found: str, mend: str):
        self.remark = Remark(problem, found, mend)
        super().__init__(f"{problem}: {found}; {mend}")


@dataclass(frozen=True)
class Raster:
    """The content of an image file.

    Args:
        values: spatial axes first, then the channels where there are several.
        shape: size along the spatial axes.
        channels: how many values a pixel or voxel has.
        sha256: of the file.
        affine: from voxel indices to millimetres, 4 x 4; None for a picture.
        remarks: what is odd about the file itself.
        is_lossy: whether the compression alters values.
    """

    values: np.ndarray
    shape: tuple[int, ...]
    channels: int
    sha256: str
    affine: np.ndarray | None = None
    remarks: tuple[Remark, ...] = ()
    is_lossy: bool = False

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Size of a voxel along each axis, in millimetres; None for a picture."""
        import numpy as np

        if self.affine is None:
            return None
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return tuple(float(length) for length in lengths[: len(self.shape)])


def read_raster(path: str, as_rgb: bool = False) -> Raster:
    """Read an image file whole, checksums included.

    Args:
        path: a file with one of the known image extensions.
        as_rgb: whether a picture is read as `RGBReader` reads it, red, green, blue; otherwise as the file holds it.

    Raises:
        UnreadableError: the file is missing, truncated, damaged, of an unknown kind, or cannot become RGB.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        mend = "restore the file, or give yourself the right to read it"
        raise UnreadableError("the {kind} cannot be opened", error.strerror or str(error), mend) from error
    if not content:
        raise UnreadableError("the {kind} is an empty file", "0 bytes", "copy it again from its source")
    digest = hashlib.sha256(content).hexdigest()
    if as_rgb and extension(path).startswith(".nii"):
        raise UnreadableError("the {kind} is a volume where a colour picture is expected", "NIfTI", "save it as PNG")
    if extension(path) in (".nii", ".nii.gz"):
        from monai_seg.data.read_nifti import nifti

        return nifti(content, digest)
    if extension(path):
        from monai_seg.data.read_picture import picture

        return picture(content, digest, as_rgb)
    raise UnreadableError(
        "the {kind} is of an unknown kind", Path(path).suffix or "no extension", "convert it to NIfTI or PNG"
    )
