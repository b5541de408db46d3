"""Find all that is wrong with a data set before anything is trained on it."""

from __future__ import annotations

import logging
import os
import warnings as warnings_module
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_seg.data.check_case import CaseFindings, Expected, check_case
from monai_seg.data.classes import class_findings, contradictions
from monai_seg.data.datalist_store import record_hash
from monai_seg.data.fault import DataError, Fault, enumerate_briefly, fact
from monai_seg.data.layouts import LayoutError, Listing, Record, read_listing
from monai_seg.data.layouts.files import relative, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.data.progress import watched
from monai_seg.data.raster import OPAQUE_ALPHA

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What a check found.

    Args:
        faults: what must be mended.
        warnings: what should be looked at.
        counts: cases by section, all of them under "cases".
        facts: layout, shapes, spacing, channels, label values and objects by class; a key is missing where nothing is
            known.
    """

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing must be mended."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        return {"is_sound": self.is_sound, **asdict(self)}


def check(
    dataset_dir: str | os.PathLike[str],
    *,
    label_values: Sequence[int] | None = None,
    spatial_dims: int | None = None,
    in_channels: int | None = None,
    as_rgb: bool = False,
    class_names: Sequence[str] | None = None,
    sections: Mapping[str, Sequence[Record]] | None = None,
    progress: bool = False,
) -> Report:
    """Read every file of a data set once, to its end, and report all faults; one bad file never hides another.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        label_values: the allowed label values; those that the data set itself tells where None.
        spatial_dims: 2 or 3; where None, the cases only have to agree.
        in_channels: channels per image; where None, the cases only have to agree.
        as_rgb: whether the images are read by `RGBReader`: grey, palettes and an opaque alpha channel are fine then,
            and what it refuses is a fault.
        class_names: the classes that annotated objects, or whole images, may have; None takes any.
        sections: records to check instead of all that the folder lists, for instance the sections of a split.
        progress: whether to show a bar on stderr when it takes more than two seconds.
    """
    try:
        listing = read_listing(dataset_dir)
    except LayoutError as error:
        return Report(faults=[error.fault])
    parts = {name: list(records) for name, records in (listing.sections if sections is None else sections).items()}
    records = [record for part in parts.values() for record in part]
    if label_values is None and listing.labels:
        label_values = tuple(listing.labels)
    known = None if label_values is None else tuple(label_values)
    if in_channels is None and not as_rgb:
        in_channels = listing.channels
    classes = None if class_names is None else tuple(class_names)
    expected = Expected(known, spatial_dims, in_channels, as_rgb, classes)
    with warnings_module.catch_warnings():
        # Here and not around each file: the filters are one for all threads.
        warnings_module.filterwarnings("ignore", module=r"PIL\.")
        cases = list(watched(_check_all(records, listing.root, expected), len(records), progress))
    faults = [*listing.faults, *_repeated_paths(parts, listing)]
    warnings: list[Fault] = []
    for case in cases:
        faults += case.faults
        warnings += case.warnings
    same, alike = _same_content(parts, cases)
    of_classes, missing = class_findings(parts, classes)
    faults += [*_odd_ones_out(cases), *same, *_changed(cases), *_nothing_to_learn(cases), *of_classes]
    warnings += [*missing, *contradictions(records, [tuple(case.image_hashes) for case in cases])]
    counts = {"cases": len(records), **{name: len(part) for name, part in parts.items()}}
    return Report(faults, [*_told_once(warnings, cases), *alike], counts, _facts(listing, cases))


def require_sound(
    dataset_dir: str | os.PathLike[str],
    *,
    label_values: Sequence[int] | None = None,
    spatial_dims: int | None = None,
    in_channels: int | None = None,
    as_rgb: bool = False,
    class_names: Sequence[str] | None = None,
    sections: Mapping[str, Sequence[Record]] | None = None,
    progress: bool = False,
) -> Report:
    """Check a data set and refuse it if anything must be mended; warnings are logged.

    Args: as `check`.

    Raises:
        DataError: there are faults; the text lists all of them.
    """
    report = check(
        dataset_dir,
        label_values=label_values,
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        as_rgb=as_rgb,
        class_names=class_names,
        sections=sections,
        progress=progress,
    )
    for warning in report.warnings:
        logger.warning("%s", warning)
    if report.faults:
        raise DataError(report.faults, str(dataset_dir))
    return report


def _check_all(records: Sequence[Record], root: Path, expected: Expected) -> Iterator[CaseFindings]:
    # Reading, unpacking and counting leave Python's lock, so threads help; few, as each holds a whole case.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda record: check_case(record, root, expected), records)


def _facts(listing: Listing, cases: Sequence[CaseFindings]) -> dict[str, Any]:
    facts: dict[str, Any] = {"layout": listing.layout}
    shapes = [case.shape for case in cases if case.shape]
    spacings = [case.spacing_mm for case in cases if case.spacing_mm]
    for key, found in (("shape", shapes), ("spacing_mm", spacings)):
        if found and len({len(item) for item in found}) == 1:
            facts[f"{key}_min"] = [min(axis) for axis in zip(*found, strict=True)]
            facts[f"{key}_max"] = [max(axis) for axis in zip(*found, strict=True)]
    channels = sorted({case.channels for case in cases if case.channels})
    if channels:
        facts["channels"] = channels
    values = sorted({value for case in cases for value in case.label_values or ()})
    if values:
        facts["label_values"] = values
    if listing.labels:
        facts["labels"] = listing.labels
    annotated = [case.record["annotations"] for case in cases if isinstance(case.record.get("annotations"), list)]
    if annotated:
        facts["objects"] = dict(
            sorted(Counter(str(each.get("category")) for part in annotated for each in part).items())
        )
        facts["images_without_objects"] = sum(not part for part in annotated)
    return facts


def _told_once(warnings: Sequence[Fault], cases: Sequence[CaseFindings]) -> list[Fault]:
    """The warnings, with one of the data set for an opaque alpha channel that all of its images have."""
    problem = OPAQUE_ALPHA.format(kind="image")
    alike = [warning for warning in warnings if warning.problem == problem]
    if len(alike) < 2 or len(alike) < len(cases):
        return list(warnings)
    modes = sorted({warning.facts[0].rpartition("  ")[2] for warning in alike})
    once = Fault("", "the images have an alpha channel, opaque everywhere",
                 (fact("images", f"all {len(alike)}", " or ".join(modes)),), alike[0].mend)  # fmt: skip
    return [once, *(warning for warning in warnings if warning.problem != problem)]


def _odd_ones_out(cases: Sequence[CaseFindings]) -> list[Fault]:
    """Cases whose number of axes or channels differs from that of most; a batch cannot hold both."""
    faults = []
    for what, of in (("axes", _axes), ("channels", _channels)):
        numbers = Counter(of(case) for case in cases if of(case) is not None)
        usual = max(numbers, key=lambda number: (numbers[number], -(number or 0)), default=None)
        for case in cases if len(numbers) > 1 else ():
            if of(case) not in (None, usual):
                facts = (fact("image", case.file, f"{of(case)} {what}"), fact("others", f"{usual} {what}"))
                mend = "convert it to what the others are, or leave it out"
                faults.append(Fault(case.name, f"the image has other {what} than most", facts, mend))
    return faults


def _axes(case: CaseFindings) -> int | None:
    return len(case.shape) if case.shape else None


def _channels(case: CaseFindings) -> int | None:
    return case.channels


def _repeated_paths(parts: Mapping[str, Sequence[Record]], listing: Listing) -> list[Fault]:
    places: dict[str, list[str]] = {}
    for name, records in parts.items():
        for record in records:
            places.setdefault(first_image(record), []).append(name)
    return [
        Fault(stem(path), "the image is listed more than once",
              (fact("image", relative(path, listing.root), " and ".join(names)),), "list it once")
        for path, names in places.items()
        if len(names) > 1
    ]  # fmt: skip


def _same_content(
    parts: Mapping[str, Sequence[Record]], cases: Sequence[CaseFindings]
) -> tuple[list[Fault], list[Fault]]:
    """Copies of one image under several names: a fault across sections, a warning within one."""
    section_of = {id(record): name for name, records in parts.items() for record in records}
    copies: dict[tuple[str, ...], dict[str, CaseFindings]] = {}
    for case in cases:
        if case.image_hashes:
            copies.setdefault(tuple(case.image_hashes), {})[case.file] = case
    faults, warnings = [], []
    for alike in copies.values():
        if len(alike) < 2:
            continue
        names = [section_of[id(case.record)] for case in alike.values()]
        facts = tuple(fact("image", file, name) for file, name in zip(alike, names, strict=True))
        label = enumerate_briefly([case.name for case in alike.values()], 3)
        if len(set(names)) > 1:
            mend = "keep it in one section, or the test tells nothing"
            faults.append(Fault(label, "the same image is in two sections", facts, mend))
        else:
            mend = "keep one, or give both the same group so that a split keeps them together"
            warnings.append(Fault(label, "the same image under several names", facts, mend))
    return faults, warnings


def _changed(cases: Sequence[CaseFindings]) -> list[Fault]:
    """Images that are no longer those a datalist was written for."""
    faults = []
    for case in cases:
        noted = case.record.get("sha256")
        if noted and case.image_hashes and record_hash(case.image_hashes) != noted:
            facts = (fact("image", case.file, f"sha256 {record_hash(case.image_hashes)[:12]}, noted {noted[:12]}"),)
            mend = "restore the image, or write the datalist again"
            faults.append(Fault(case.name, "the image has changed since the datalist was written", facts, mend))
    return faults


def _nothing_to_learn(cases: Sequence[CaseFindings]) -> list[Fault]:
    seen = [case.label_values for case in cases if case.label_values is not None]
    if not seen or any(any(values) for values in seen):
        return []
    facts = (fact("found", f"0 everywhere in {len(seen)} labels"),)
    return [Fault("", "no label has any foreground", facts, "check how the labels were exported")]
