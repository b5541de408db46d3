"""The images of an audit: of one or several data sets, or of the sections of a run, each with where it lies."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_seg.data.grouping import name_groups
from monai_seg.data.joining import common_root
from monai_seg.data.layouts import Listing, Record, read_listing
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import SECTIONS, first_image

logger = logging.getLogger(__name__)
OF_RUN = "run"


@dataclass(frozen=True)
class AuditedImage:
    """One image and where it lies.

    Args:
        record: the case.
        name: its path relative to the folder that holds all.
        data: name of its data set; empty where there is only one.
        section: "training", "validation", "test" or "unsplit".
    """

    record: Record
    name: str
    data: str
    section: str

    @property
    def place(self) -> str:
        """Data set and section, as users are told of them."""
        return f"{self.data} {self.section}".strip()

    @property
    def group(self) -> str | None:
        """Person, patient or scene; None where nothing tells it."""
        group = self.record.get("group")
        return None if group is None else str(group)

    @property
    def class_name(self) -> str | None:
        """Class of the whole image; None where it has none."""
        name = self.record.get("class")
        return None if name is None else str(name)


def images_of_data(dataset_dirs: Sequence[str | os.PathLike[str]], group_by: str | None = None) -> list[AuditedImage]:
    """All images of data sets, in their sections on disk.

    An image that an earlier one of the data sets has is not taken again: a datalist may lie beside its data.

    Args:
        dataset_dirs: folders in a known layout, or JSON datalists.
        group_by: regular expression searched in each path relative to the folder that holds all data sets; without
            it the ``group`` of a record counts.

    Raises:
        LayoutError: a data set cannot be listed.
        DataError: ``group_by`` fits no part of a path.
        ValueError: there is no data set, or ``group_by`` is no regular expression.
    """
    if not dataset_dirs:
        raise ValueError("no data set to look at: name a folder or a JSON datalist")
    listings = [read_listing(dataset_dir) for dataset_dir in dataset_dirs]
    for listing in listings:
        for fault in listing.faults:
            logger.warning("left out: %s", fault)
    root = common_root(listings)
    names = _names(dataset_dirs)
    images: list[AuditedImage] = []
    for name, listing in zip(names, listings, strict=True):
        earlier = {first_image(image.record) for image in images}
        for section in _in_order(listing):
            records = [dict(record) for record in listing.sections[section]]
            if group_by is not None:
                name_groups(records, root, group_by)
            images += [
                AuditedImage(record, relative(first_image(record), root), name, section)
                for record in records
                if first_image(record) not in earlier
            ]
    return images


def images_of_run(
    run_dir: str | os.PathLike[str], dataset_dirs: Sequence[str | os.PathLike[str]] = (), group_by: str | None = None
) -> list[AuditedImage]:
    """The images that a run trained on and was tested with, in its sections, and those of further data sets.

    Args:
        run_dir: folder of the run.
        dataset_dirs: such as external test sets; images that the run has are not taken again.
        group_by: as of `images_of_data`.

    Returns:
        Images; those of the run bear `OF_RUN` as their data set, or none where there is no other.

    Raises:
        ValueError: it is no folder of a run; else as `images_of_data`.
    """
    datalist = Path(run_dir) / "datalist.json"
    if not datalist.is_file():
        raise ValueError(
            f"{run_dir} holds no datalist.json\n  mend   name the folder of a run, such as runs/BUNDLE/DATE"
        )
    images = images_of_data([datalist, *dataset_dirs], group_by)
    alone = len({image.data for image in images}) == 1
    listed = images[0].data if images else ""
    return [replace(image, data="" if alone else OF_RUN) if image.data == listed else image for image in images]


def images_of_sections(sections: Mapping[str, Iterable[Record]]) -> list[AuditedImage]:
    """The images of one data set by section, as `monai_seg.data.sections` gives them."""
    records = [(name, record) for name, part in sections.items() for record in part]
    folders = [os.path.dirname(first_image(record)) for _, record in records]
    root = Path(os.path.commonpath(folders)) if folders else Path()
    return [AuditedImage(record, relative(first_image(record), root), "", name) for name, record in records]


def _in_order(listing: Listing) -> list[str]:
    return [name for name in (*SECTIONS, "unsplit") if name in listing.sections]


def _names(dataset_dirs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A name for each data set: its folder's, longer where two are called alike; none is needed of a single one."""
    if len(dataset_dirs) == 1:
        return [""]
    paths = [Path(os.path.abspath(dataset_dir)) for dataset_dir in dataset_dirs]
    for length in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-length:]).removesuffix(".json") for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]
