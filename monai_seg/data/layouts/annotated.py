"""What the layouts of annotation programs have in common: records of annotated images, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai_seg.data.annotations.annotated_image import AnnotatedImage, find_image
from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import images_by_stem, relative, stem
from monai_seg.data.layouts.listed import load_json
from monai_seg.data.layouts.listing import Listing, Record

_LISTS = ("datalist.json", "dataset.json")  # lists that outrank what lies beside them


def has_list(folder: Path) -> bool:
    """Whether a list of cases lies in a folder, which says more than the annotations do."""
    return any((folder / name).is_file() for name in _LISTS)


def json_files(base: Path, is_one: Callable[[Any], bool]) -> list[Path]:
    """The JSON files of a kind in a folder, and in its ``annotations/``."""
    found = sorted([*base.glob("*.json"), *(base / "annotations").glob("*.json")])
    return [path for path in found if not path.name.startswith(".") and is_one(json_content(path))]


def add_images(
    listing: Listing, section: str, images: Iterable[AnnotatedImage], source: Path, listed: set[Path]
) -> None:
    """Make a record of each annotated image, or a fault where its file is missing.

    Args:
        listing: gets them.
        section: of the images.
        images: of one annotation file.
        source: the annotation file.
        listed: gets the paths of the images.
    """
    for image in images:
        found = find_image(image.file_name, source.parent)
        if found is None:
            facts = (fact("listed", relative(source, listing.root), image.file_name),)
            mend = "copy the image into images/ beside the annotations, or take it out of the file"
            listing.faults.append(Fault(image.case, "the listed image is missing", facts, mend))
            continue
        listed.add(found)
        record: Record = {"image": str(found), "annotations": image.annotations}
        if image.size:
            record["size"] = image.size
        listing.sections.setdefault(section, []).append(record)


def unlisted(root: Path, listed: Iterable[Path]) -> list[Fault]:
    """Images beside listed ones that no file lists: do they show nothing, or were they never looked at?"""
    known = set(listed)
    found = sorted(
        image
        for folder in {path.parent for path in known}
        for image in images_by_stem(folder, root)[0].values()
        if image not in known
    )
    return [
        Fault(
            stem(image),
            "the image is in no annotation file",
            (fact("image", relative(image, root)),),
            "list it under images, without annotations if it shows no object; or remove it",
        )
        for image in found
    ]


def json_content(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    status = path.stat()
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _parsed(path: Path, modified: int, size: int) -> dict[str, Any]:
    return load_json(path, path.parent)[0]
