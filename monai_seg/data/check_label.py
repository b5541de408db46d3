"""Look at the values of a label: whole numbers, among the known classes, and something to be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from monai_seg.data.fault import enumerate_briefly, fact
from monai_seg.data.raster import Raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class Findings(Protocol):
    """Where findings go; see `monai_seg.data.check_case.CaseFindings`."""

    label_values: tuple[int, ...] | None

    def add(self, problem: str, facts: Sequence[str], mend: str, is_fault: bool = True) -> None: ...


def look_at_label(raster: Raster, name: str, findings: Findings, known: tuple[int, ...] | None) -> None:
    """Note what is wrong with the values of a label.

    Args:
        raster: the label.
        name: its file, for messages.
        findings: gets the faults, the warnings and the values seen.
        known: the allowed values, or None.
    """
    if raster.channels > 1:
        _many_channels(raster, name, findings)
        return
    seen = _whole_values(raster.values, name, findings)
    if seen is None:
        return
    values, counts = seen
    findings.label_values = tuple(int(value) for value in values)
    strange = [
        (int(v), int(n)) for v, n in zip(values, counts, strict=True) if known is not None and int(v) not in known
    ]
    if strange:
        found = enumerate_briefly([f"{value} ({count:,} {_unit(raster, count)})" for value, count in strange], 4)
        facts = [fact("label", name, found), fact("known", " ".join(map(str, known or ())))]
        mend = _mend_values([value for value, _ in strange], known or (), raster.is_lossy)
        findings.add("the label holds unknown values", facts, mend)
    elif raster.is_lossy:
        found = f"JPEG with {len(values)} values"
        mend = "save masks as PNG: JPEG is lossy and alters values along edges"
        findings.add(
            "the label is a JPEG", [fact("label", name, found)], mend, is_fault=known is None and len(values) > 2
        )
    if not raster.values.any():
        facts = [fact("label", name, "0 everywhere")]
        findings.add("the label has no foreground", facts, "right if nothing is to be found there; else mend it", False)


def _whole_values(values: np.ndarray, name: str, findings: Findings) -> tuple[np.ndarray, np.ndarray] | None:
    """The whole numbers in a label and how often each is there; None where there is none."""
    import numpy as np

    if values.dtype == np.uint8:
        counts = np.bincount(values.ravel(order="K"), minlength=256)
        return np.flatnonzero(counts), counts[counts > 0]
    unique, counts = np.unique(values, return_counts=True)
    if unique.dtype.kind == "f":
        bad = ~np.isfinite(unique)
        if bad.any():
            facts = [fact("label", name, f"{int(counts[bad].sum()):,} of {values.size:,} values")]
            findings.add("the label holds NaN or infinite values", facts, "give these voxels a class, mostly 0")
            unique, counts = unique[~bad], counts[~bad]
        broken = unique != np.round(unique)
        if broken.any():
            some = enumerate_briefly([f"{value:g}" for value in unique[broken]], 4)
            found = f"{some} ({int(counts[broken].sum()):,} values)"
            mend = "resample labels with nearest neighbour, never linearly; save class indices"
            findings.add("the label holds values between whole numbers", [fact("label", name, found)], mend)
            unique, counts = unique[~broken], counts[~broken]
    return (unique.astype(np.int64), counts) if unique.size else None


def _many_channels(raster: Raster, name: str, findings: Findings) -> None:
    if len(raster.shape) == 3:
        found = f"{' x '.join(map(str, raster.shape))} x {raster.channels}"
        findings.add("the label is 4D", [fact("label", name, found)], "save one volume of class indices")
    else:
        mend = "save one grey channel of class indices"
        findings.add("the label has colours", [fact("label", name, f"{raster.channels} channels")], mend)


def _mend_values(strange: list[int], known: tuple[int, ...], is_lossy: bool) -> str:
    if is_lossy:
        return "save the mask as PNG: JPEG is lossy and alters values along edges"
    if strange == [255] and 1 in known:
        return "masks are 0 and 255 here but 0 and 1 are expected: divide them by 255, or pass the labels 0 and 255"
    if strange == [1] and 255 in known:
        return "masks are 0 and 1 here but 0 and 255 are expected: multiply them by 255, or pass the labels 0 and 1"
    return "correct the label, or add the class to the known labels"


def _unit(raster: Raster, count: int) -> str:
    unit = "pixel" if raster.affine is None and len(raster.shape) == 2 else "voxel"
    return unit if count == 1 else unit + "s"
