"""Check one case: read image and label once, compare them, and look at their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from monai_seg.data.annotations.inspection import look_at_annotations
from monai_seg.data.check_label import look_at_label
from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts import Record
from monai_seg.data.layouts.files import relative, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.data.raster import Raster, UnreadableError, read_raster

if TYPE_CHECKING:
    import numpy as np

_TOLERANCE = 1e-3  # of a voxel's size, between the grids of image and label
_AXIS_TOLERANCE = 5e-3  # wider, as writers that go by the quaternion lose 1e-3 near half a turn


@dataclass(frozen=True)
class Expected:
    """What the user of the data asks of each case; None where it does not matter.

    Args:
        label_values: the allowed ones.
        spatial_dims: 2 or 3.
        in_channels: channels per image.
        as_rgb: whether images are read by `RGBReader`: three channels, whatever way the file holds them.
        class_names: classes of annotated objects.

    Raises:
        ValueError: ``as_rgb`` with another number of channels or axes.
    """

    label_values: tuple[int, ...] | None = None
    spatial_dims: int | None = None
    in_channels: int | None = None
    as_rgb: bool = False
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.as_rgb and (self.in_channels not in (None, 3) or self.spatial_dims not in (None, 2)):
            asked = f"in_channels={self.in_channels} and spatial_dims={self.spatial_dims}"
            raise ValueError(f"as_rgb reads 2D pictures of 3 channels, asked for are {asked}; give 3 and 2, or neither")


@dataclass
class CaseFindings:
    """What was seen in one case.

    Args:
        record: the case.
        name: its name in messages.
        file: its first image, relative to the data set.
    """

    record: Record
    name: str
    file: str
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    image_hashes: list[str] = field(default_factory=list)
    shape: tuple[int, ...] | None = None
    channels: int | None = None
    spacing_mm: tuple[float, ...] | None = None
    label_values: tuple[int, ...] | None = None

    def add(self, problem: str, facts: Sequence[str], mend: str, is_fault: bool = True) -> None:
        """Note a finding of this case."""
        (self.faults if is_fault else self.warnings).append(Fault(self.name, problem, tuple(facts), mend))


def check_case(record: Record, root: Path, expected: Expected) -> CaseFindings:
    """Read the files of a case and note all that is wrong with them; nothing is raised.

    Args:
        record: the case, with absolute paths.
        root: folder that files are named relative to.
        expected: what is asked of the case.
    """
    first = first_image(record)
    findings = CaseFindings(record, stem(first), relative(first, root))
    image_paths = list(record["image"]) if isinstance(record["image"], list) else [record["image"]]
    grid: tuple[str, Raster] | None = None
    if expected.as_rgb and len(image_paths) > 1:
        facts = [fact("image", relative(path, root)) for path in image_paths]
        findings.add("a colour picture is one file", facts, "save its channels together, as PNG")
        del image_paths[1:]
    for path in image_paths:
        name = relative(path, root)
        raster = _read("image", path, name, findings, expected.as_rgb)
        if raster is None:
            continue
        findings.image_hashes.append(raster.sha256)
        _look_at_image(raster, name, findings)
        if grid is None:
            grid = (name, raster)
            findings.shape, findings.spacing_mm = raster.shape, raster.spacing_mm
            findings.channels = raster.channels if len(image_paths) == 1 else len(image_paths)
            _compare_expected(raster, name, findings, expected)
        else:
            _compare(*grid, "image", name, raster, findings)
    if isinstance(record.get("label"), str):
        name = relative(record["label"], root)
        raster = _read("label", record["label"], name, findings)
        if raster is not None:
            if grid is not None:
                _compare(*grid, "label", name, raster, findings)
            look_at_label(raster, name, findings, expected.label_values)
    if "annotations" in record and findings.shape is not None:
        look_at_annotations(record, findings.shape, findings.file, findings, expected.class_names)
    return findings


def size(raster: Raster) -> str:
    """The extent of a raster as users know it: columns x rows for pictures, the axes in order for volumes."""
    if raster.affine is None and len(raster.shape) == 2:
        return f"{raster.shape[1]} x {raster.shape[0]} px"
    return " x ".join(map(str, raster.shape))


def _read(kind: str, path: str, name: str, findings: CaseFindings, as_rgb: bool = False) -> Raster | None:
    try:
        raster = read_raster(path, as_rgb)
    except UnreadableError as error:
        remark = error.remark
        findings.add(remark.problem.format(kind=kind), [fact(kind, name, remark.found)], remark.mend)
        return None
    except MemoryError:
        mend = "free some memory, or cut the volume into parts"
        findings.add(f"the {kind} does not fit into memory", [fact(kind, name)], mend)
        return None
    for remark in raster.remarks:
        facts = [fact(kind, name, remark.found)]
        if not (kind == "label" and remark.problem.startswith("the {kind} has a palette")):
            findings.add(remark.problem.format(kind=kind), facts, remark.mend, remark.is_fault)
    return raster


def _look_at_image(raster: Raster, name: str, findings: CaseFindings) -> None:
    import numpy as np

    values = raster.values
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        bad = values.size - int(np.count_nonzero(finite))
        if bad:
            facts = [fact("image", name, f"{bad:,} of {values.size:,} values")]
            findings.add("the image holds NaN or infinite values", facts, "replace them, or leave the case out")
            values = values[finite]
    if values.size and values.min() == values.max():
        facts = [fact("image", name, f"{float(values.min()):g} everywhere")]
        findings.add("the image is constant", facts, "look at it; leave the case out if it shows nothing", False)


def _compare_expected(raster: Raster, name: str, findings: CaseFindings, expected: Expected) -> None:
    dims, wanted = len(raster.shape), expected.spatial_dims
    if wanted is not None and dims != wanted:
        mend = "give volumes" if wanted == 3 else "give single slices"
        facts = [fact("image", name, size(raster))]
        findings.add(f"the image is {dims}D where {wanted}D is expected", facts, mend)
        return
    channels = findings.channels or 1
    if expected.in_channels is not None and channels != expected.in_channels:
        found = f"{channels} channel{'s' if channels > 1 else ''}"
        mend = "convert the images, or set the number of input channels of the network"
        findings.add(f"{found} where {expected.in_channels} expected", [fact("image", name, found)], mend)
    elif expected.in_channels is None and dims == 3 and raster.channels > 1:
        found = f"{size(raster)} x {raster.channels}"
        mend = "save each frame or channel as a volume of its own, or tell the number of channels in dataset.json"
        findings.add("the image is 4D where 3D is expected", [fact("image", name, found)], mend)


def _compare(first: str, image: Raster, kind: str, second: str, other: Raster, findings: CaseFindings) -> None:
    """Compare the grids of two rasters that must lie on each other."""
    import numpy as np

    def differ(what: str, one: str, two: str, mend: str) -> None:
        who = "image and label" if kind == "label" else "channels"
        findings.add(f"{who} differ in {what}", [fact("image", first, one), fact(kind, second, two)], mend)

    resample = "resample the label onto the image's grid with nearest neighbour, or leave the case out"
    if image.shape != other.shape:
        differ("size", size(image), size(other), resample)
        return
    if image.affine is None or other.affine is None or image.spacing_mm is None or other.spacing_mm is None:
        return
    spacing = np.array(image.spacing_mm)
    if (np.abs(spacing - other.spacing_mm) > _TOLERANCE * spacing).any():
        differ("spacing", millimetres(image.spacing_mm), millimetres(other.spacing_mm), resample)
        return
    far = np.abs(image.affine - other.affine)
    if (far[:3, :3] > _AXIS_TOLERANCE * spacing.min()).any():
        differ("orientation", _axes(image.affine), _axes(other.affine), resample)
    elif (far[:3, 3] > _TOLERANCE * spacing.min()).any():
        mend = "copy the image's header if the voxels belong together, else " + resample
        differ("origin", _origin(image.affine), _origin(other.affine), mend)


def millimetres(spacing_mm: Sequence[float]) -> str:
    """Spacing with two decimals, for instance "1.00 x 1.00 x 2.50 mm"."""
    return " x ".join(f"{length:.2f}" for length in spacing_mm) + " mm"


def _origin(affine: np.ndarray) -> str:
    return f"origin {' '.join(f'{x:.3f}' for x in affine[:3, 3])} mm"


def _axes(affine: np.ndarray) -> str:
    import nibabel as nib

    rows = "; ".join(" ".join(f"{x:.3g}" for x in row[:3]) for row in affine[:3])
    return f"axes {''.join(map(str, nib.aff2axcodes(affine)))} ({rows})"
