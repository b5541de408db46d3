"""Layout "coco": images and a JSON file of objects, as makesense.ai, CVAT, Label Studio or Roboflow export them."""

from __future__ import annotations

import re
from pathlib import Path

from monai_seg.data.annotations.coco_file import images_of, is_coco
from monai_seg.data.fault import Fault
from monai_seg.data.layouts.annotated import add_images, has_list, json_content, json_files, unlisted
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import SECTION_FOLDERS, Layout, LayoutError, Listing
from monai_seg.data.layouts.places import section_bases

_SHAPE = "images/ + annotations.json in COCO's form, also under train/ val/ test/"


def _recognises(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".json" and is_coco(json_content(path))
    return path.is_dir() and not has_list(path) and any(json_files(base, is_coco) for _, base in section_bases(path))


def _read(path: Path) -> Listing:
    root = path.parent if path.is_file() else path
    listing = Listing("coco", root, sections={})
    bases = [("unsplit", path)] if path.is_file() else section_bases(path)
    listed: set[Path] = set()
    for section, base in bases:
        for file in [base] if base.is_file() else json_files(base, is_coco):
            images, faults = images_of(json_content(file), relative(file, root))
            listing.faults.extend(faults)
            add_images(listing, _section_by_name(file) or section, images, file, listed)
    if not listing.sections and not listing.faults:
        raise LayoutError(Fault("", f"no image is listed in {path}", (), "export the annotations with their images"))
    if path.is_dir():
        listing.faults.extend(unlisted(root, listed))
    return listing


def _section_by_name(file: Path) -> str | None:
    """The section that a name such as instances_train2017.json tells."""
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next((SECTION_FOLDERS[word] for word in words if word in SECTION_FOLDERS), None)


LAYOUT = Layout("coco", _SHAPE, _recognises, _read)
