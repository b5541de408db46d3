"""What every layout gives back: the records of a folder by section, and what is wrong with the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_seg.data.fault import Fault

Record = dict[str, Any]
"""One case: ``image`` (a path, or one per channel), ``label`` where there is one; ``fold``, ``group``, ``class``."""

SECTIONS = ("training", "validation", "test")

SECTION_FOLDERS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


class LayoutError(ValueError):
    """A folder cannot be read as a data set; ``fault`` says what was looked for and what was found."""

    def __init__(self, fault: Fault):
        self.fault = fault
        super().__init__(str(fault))


@dataclass(frozen=True)
class Listing:
    """The cases of a data set as they lie on disk.

    Args:
        layout: name of the layout.
        root: folder that file names are given relative to.
        sections: records under "training", "validation", "test" and "unsplit"; all paths are absolute.
        faults: unpaired, doubled and missing files, and broken lists.
        labels: names of the label values, where the data set tells them.
        channels: number of image channels, where the data set tells it.
    """

    layout: str
    root: Path
    sections: dict[str, list[Record]]
    faults: list[Fault] = field(default_factory=list)
    labels: dict[int, str] | None = None
    channels: int | None = None


@dataclass(frozen=True)
class Layout:
    """A way in which data sets lie on disk.

    Args:
        name: one word.
        shape: the folders and files in one line, shown to users whose folder is not recognised.
        recognises: whether a path looks like this layout, told from names alone.
        read: lists the cases; raises `LayoutError` only where nothing can be listed.
    """

    name: str
    shape: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def first_image(record: Record) -> str:
    """The path that names a case: its image, or the first of its channels."""
    image = record["image"]
    return str(image[0] if isinstance(image, list) else image)
