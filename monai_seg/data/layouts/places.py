"""Where ``images/`` folders lie in a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import relative, subfolders, summarise
from monai_seg.data.layouts.listing import SECTION_FOLDERS

_MASK_FOLDERS = ("masks", "labels", "annotations")


@dataclass(frozen=True)
class Place:
    """Where the images and masks of a section are, or would be."""

    section: str
    images: Path
    masks: Path


def places(root: Path) -> list[Place]:
    """The places with an image or a mask folder: the root and each folder that is named like a section."""
    found = []
    for section, base in section_bases(root):
        inside = subfolders(base)
        masks = next((inside[name] for name in _MASK_FOLDERS if name in inside), base / _MASK_FOLDERS[0])
        place = Place(section, inside.get("images", base / "images"), masks)
        if place.images.is_dir() or place.masks.is_dir():
            found.append(place)
    return found


def section_bases(root: Path) -> list[tuple[str, Path]]:
    """The root as "unsplit", and each folder in it that is named like a section."""
    named = [(SECTION_FOLDERS[name], path) for name, path in subfolders(root).items() if name in SECTION_FOLDERS]
    return [("unsplit", root), *named]


def no_image(root: Path, found: list[Place]) -> Fault:
    """That the image folders hold nothing that is read."""
    folders = [place.images for place in found if place.images.is_dir()]
    facts = tuple(fact("found", f"{relative(folder, root)}/", summarise(folder)) for folder in folders)
    return Fault("", "no image of a known type", facts, "images are png, jpg, tif, bmp, nii or nii.gz")
