"""Layout "coco": images and a JSON file of objects, as makesense.ai, CVAT, Label Studio or Roboflow export them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai_seg.data.annotations.coco_file import find_image, images_of, is_coco
from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import images_by_stem, relative, stem
from monai_seg.data.layouts.listed import load_json
from monai_seg.data.layouts.listing import SECTION_FOLDERS, Layout, LayoutError, Listing, Record
from monai_seg.data.layouts.places import section_bases

_SHAPE = "images/ + annotations.json in COCO's form, also under train/ val/ test/"
_OTHERS = ("datalist.json", "dataset.json")  # lists that outrank what lies beside them


def _recognises(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".json" and is_coco(_content(path))
    if not path.is_dir() or any((path / name).is_file() for name in _OTHERS):
        return False
    return any(_files(base) for _, base in section_bases(path))


def _read(path: Path) -> Listing:
    root = path.parent if path.is_file() else path
    listing = Listing("coco", root, sections={})
    bases = [("unsplit", path)] if path.is_file() else section_bases(path)
    listed: set[Path] = set()
    for base_section, base in bases:
        for file in [base] if base.is_file() else _files(base):
            section = _section_by_name(file) or base_section
            name = relative(file, root)
            images, faults = images_of(_content(file), name)
            listing.faults.extend(faults)
            for image in images:
                found = find_image(image.file_name, file.parent)
                if found is None:
                    facts = (fact("listed", name, image.file_name),)
                    mend = "copy the image into images/ beside the JSON file, or take it out of the file"
                    listing.faults.append(Fault(stem(image.file_name), "the listed image is missing", facts, mend))
                    continue
                listed.add(found)
                record: Record = {"image": str(found), "annotations": image.annotations}
                if image.size:
                    record["size"] = image.size
                listing.sections.setdefault(section, []).append(record)
    if not listing.sections and not listing.faults:
        raise LayoutError(Fault("", f"no image is listed in {path}", (), "export the annotations with their images"))
    if path.is_dir():
        listing.faults.extend(_unlisted(root, listed))
    return listing


def _unlisted(root: Path, listed: set[Path]) -> list[Fault]:
    """Images that no file lists: nobody knows whether they show nothing or were never looked at."""
    folders = {path.parent for path in listed}
    unlisted = sorted(
        image for folder in folders for image in images_by_stem(folder, root)[0].values() if image not in listed
    )
    return [
        Fault(
            stem(image),
            "the image is in no annotation file",
            (fact("image", relative(image, root)),),
            "list it under images, without annotations if it shows no object; or remove it",
        )
        for image in unlisted
    ]


def _files(base: Path) -> list[Path]:
    """The COCO files of a folder: in it or in its ``annotations/``."""
    found = sorted([*base.glob("*.json"), *(base / "annotations").glob("*.json")])
    return [path for path in found if not path.name.startswith(".") and is_coco(_content(path))]


def _section_by_name(file: Path) -> str | None:
    """The section that a name such as instances_train2017.json tells."""
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next((SECTION_FOLDERS[word] for word in words if word in SECTION_FOLDERS), None)


def _content(path: Path) -> dict[str, Any]:
    status = path.stat()
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _parsed(path: Path, modified: int, size: int) -> dict[str, Any]:
    return load_json(path, path.parent)[0]


LAYOUT = Layout("coco", _SHAPE, _recognises, _read)
