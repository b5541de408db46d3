"""Cases of a data set that nobody trains on: an external test set, or images that wait for a prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monai_seg.data.check_case import Expected, check_case
from monai_seg.data.datalist_store import image_hash
from monai_seg.data.fault import DataError, Fault, fact
from monai_seg.data.layouts import Record, read_listing
from monai_seg.data.layouts.files import IMAGE_EXTENSIONS, extension, is_clutter
from monai_seg.data.layouts.listing import SECTIONS, LayoutError, first_image, is_labelled


def external_cases(dataset_dir: str | os.PathLike[str]) -> list[Record]:
    """All labelled cases of a data set, or those of its test section where it has one, each with its ``sha256``.

    Raises:
        LayoutError: the data cannot be listed, or no case has a label.
    """
    listing = read_listing(dataset_dir)
    labelled = {name: [r for r in records if is_labelled(r)] for name, records in listing.sections.items()}
    cases = labelled.get("test") or [record for records in labelled.values() for record in records]
    if not cases:
        raise LayoutError(Fault("", f"no labelled case in {listing.root}", (), "add masks: a test needs a reference"))
    return [record | {"sha256": image_hash(record)} for record in cases]


def require_readable(
    records: Sequence[Record], spatial_dims: int | None = None, in_channels: int | None = None
) -> None:
    """Read each image once and raise if any cannot be used, so that a prediction does not die of its last file.

    Args:
        records: from `images`.
        spatial_dims: number of axes that the network takes.
        in_channels: number of channels that it takes.

    Raises:
        DataError: lists the faults of all images.
    """
    expected = Expected(spatial_dims=spatial_dims, in_channels=in_channels)
    faults = [
        fault for record in records for fault in check_case(record, Path(first_image(record)).parent, expected).faults
    ]
    if faults:
        raise DataError(faults, f"{len(records)} images")


def images(dataset_dir: str | os.PathLike[str]) -> list[Record]:
    """Images to predict: one file, the image files of a folder, or the cases of a data set.

    A data set in a known layout gives its test section where it has one, labelled or not, else all its cases.

    Raises:
        LayoutError: there is no image.
    """
    path = Path(os.path.abspath(dataset_dir))
    if path.is_file() and extension(path):
        return [{"image": str(path)}]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and extension(file))
        found = [{"image": str(file)} for file in files if not is_clutter(file.name)]
        if found:
            return found
    sections = read_listing(path).sections
    records = sections.get("test") or [r for name in (*SECTIONS, "unsplit") for r in sections.get(name, [])]
    if not records:
        raise LayoutError(
            Fault("", f"no image in {path}", (fact("looked for", ", ".join(IMAGE_EXTENSIONS)),), "add images")
        )
    return [{"image": record["image"]} for record in records]
