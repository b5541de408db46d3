"""Layout "via": images and a JSON file of the VGG Image Annotator."""

from __future__ import annotations

from pathlib import Path

from monai_seg.data.annotations.via_file import images_of, is_via
from monai_seg.data.fault import Fault
from monai_seg.data.layouts.annotated import add_images, has_list, json_content, json_files, unlisted
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import Layout, LayoutError, Listing
from monai_seg.data.layouts.places import section_bases

_SHAPE = "images/ + a JSON project or export of the VGG Image Annotator, also under train/ val/ test/"


def _recognises(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".json" and is_via(json_content(path))
    return path.is_dir() and not has_list(path) and any(json_files(base, is_via) for _, base in section_bases(path))


def _read(path: Path) -> Listing:
    root = path.parent if path.is_file() else path
    listing = Listing("via", root, sections={})
    listed: set[Path] = set()
    for section, base in [("unsplit", path)] if path.is_file() else section_bases(path):
        for file in [base] if base.is_file() else json_files(base, is_via):
            images, faults = images_of(json_content(file), relative(file, root))
            listing.faults.extend(faults)
            add_images(listing, section, images, file, listed)
    if not listing.sections and not listing.faults:
        raise LayoutError(Fault("", f"no image is listed in {path}", (), "export the annotations with their images"))
    if path.is_dir():
        listing.faults.extend(unlisted(root, listed))
    return listing


LAYOUT = Layout("via", _SHAPE, _recognises, _read)
