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
from monai_seg.data.layouts.listing import SECTIONS, LayoutError, first_image
from monai_seg.data.targets import of_use


def external_cases(dataset_dir: str | os.PathLike[str], target_key: str | None = "label") -> list[Record]:
    """All cases of use of a data set, or those of its test section where it has one, each with its ``sha256``.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        target_key: the key that a case must have: "label" (a mask), "class", or None where any image will do.

    Raises:
        LayoutError: the data cannot be listed, or no case is of use.
    """
    sections = of_use(read_listing(dataset_dir), target_key).sections
    cases = sections.get("test") or [record for records in sections.values() for record in records]
    return [record | {"sha256": image_hash(record)} for record in cases]


def require_readable(
    records: Sequence[Record], spatial_dims: int | None = None, in_channels: int | None = None, as_rgb: bool = False
) -> None:
    """Read each image once and raise if any cannot be used, so that a prediction does not die of its last file.

    Args:
        records: from `images`.
        spatial_dims: number of axes that the network takes.
        in_channels: number of channels that it takes.
        as_rgb: whether the bundle reads them by `RGBReader`.

    Raises:
        DataError: lists the faults of all images.
    """
    expected = Expected(spatial_dims=spatial_dims, in_channels=in_channels, as_rgb=as_rgb)
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
