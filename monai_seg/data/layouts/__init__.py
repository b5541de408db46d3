"""Ways in which data sets lie on disk. A new one is one file with a ``LAYOUT`` and one line in `LAYOUTS`."""

from __future__ import annotations

import os
from pathlib import Path

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts import classes, coco, datalist_file, images, labelme, msd, pairs, via, yolo
from monai_seg.data.layouts.files import is_clutter, summarise
from monai_seg.data.layouts.listing import Layout, LayoutError, Listing, Record

__all__ = ["LAYOUTS", "Layout", "LayoutError", "Listing", "Record", "read_listing", "recognise"]

# The first that fits is taken: a list written by hand or by `monai-seg split` outranks the folders beside it.
LAYOUTS: tuple[Layout, ...] = (
    # Annotations leave folders alone that hold a list.
    coco.LAYOUT,
    via.LAYOUT,
    labelme.LAYOUT,
    yolo.LAYOUT,
    datalist_file.LAYOUT,
    msd.LAYOUT,
    pairs.LAYOUT,
    images.LAYOUT,
    classes.LAYOUT,
)


def recognise(dataset_dir: str | os.PathLike[str]) -> Layout:
    """Tell the layout of a data set from the names of its files.

    Args:
        dataset_dir: a folder, or the JSON file of a datalist.

    Raises:
        LayoutError: there is no such folder, it is empty, or no layout fits it.
    """
    path = Path(dataset_dir)
    shapes = tuple(fact("looked for", layout.shape) for layout in LAYOUTS)
    mend = "arrange the data in one of the shapes above, or give a JSON datalist"
    if not path.exists():
        near = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
        facts = (fact("found", str(near), summarise(near)),)
        raise LayoutError(Fault("", f"no such folder: {path}", facts, "check the path; it is read from where you are"))
    layout = next((layout for layout in LAYOUTS if layout.recognises(path)), None)
    if layout is not None:
        return layout
    if path.is_dir() and all(is_clutter(child.name) for child in path.iterdir()):
        raise LayoutError(
            Fault("", f"the folder is empty: {path}", shapes, "put the data there in one of these shapes")
        )
    found = fact("found", summarise(path) if path.is_dir() else "a file that is not .json")
    raise LayoutError(Fault("", f"no known layout: {path}", (*shapes, found), mend))


def read_listing(dataset_dir: str | os.PathLike[str]) -> Listing:
    """List the cases of a data set, whatever its layout.

    Args:
        dataset_dir: a folder, or the JSON file of a datalist.

    Raises:
        LayoutError: nothing can be listed.
    """
    return recognise(dataset_dir).read(Path(os.path.abspath(dataset_dir)))
