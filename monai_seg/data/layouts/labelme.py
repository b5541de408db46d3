"""Layout "labelme": a JSON file of LabelMe for each image, beside it or in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_seg.data.annotations.labelme_file import image_of, is_labelme
from monai_seg.data.layouts.annotated import add_images, has_list, json_content, unlisted
from monai_seg.data.layouts.files import is_clutter, relative
from monai_seg.data.layouts.listing import Layout, Listing
from monai_seg.data.layouts.places import section_bases

_SHAPE = "images with LabelMe's JSON file of each, beside them or in annotations/, also under train/ val/ test/"
_FOLDERS = ("", "images", "annotations", "labels", "json")


def _recognises(path: Path) -> bool:
    if not path.is_dir() or has_list(path):
        return False
    first = next((file for _, base in section_bases(path) for file in _json_files(base)), None)
    return first is not None and is_labelme(json_content(first))


def _read(root: Path) -> Listing:
    listing = Listing("labelme", root, sections={})
    listed: set[Path] = set()
    for section, base in section_bases(root):
        for file in _json_files(base):
            content = json_content(file)
            if is_labelme(content):
                image, faults = image_of(content, relative(file, root))
                listing.faults.extend(faults)
                add_images(listing, section, [image], file, listed)
    listing.faults.extend(unlisted(root, listed))
    return listing


def _json_files(base: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        folder = base / name
        if folder.is_dir():
            yield from sorted(path for path in folder.glob("*.json") if not is_clutter(path.name))


LAYOUT = Layout("labelme", _SHAPE, _recognises, _read)
