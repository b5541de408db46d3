"""Layout "pairs": images and masks in two folders, matched by stem."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import images_by_stem, relative, stem, subfolders, summarise
from monai_seg.data.layouts.listing import SECTION_FOLDERS, Layout, LayoutError, Listing, Record

_SHAPE = "images/ and masks/ (or labels/, annotations/), also under train/ val/ test/"
_MASK_FOLDERS = ("masks", "labels", "annotations")
_MASK_ENDING = re.compile(r"[-_. ](masks?|labels?|seg|segmentation|annotations?|gt)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Place:
    """Where the images and masks of a section are, or would be."""

    section: str
    images: Path
    masks: Path


def _recognises(path: Path) -> bool:
    places = _places(path) if path.is_dir() else []
    return any(place.images.is_dir() for place in places) and any(place.masks.is_dir() for place in places)


def _read(root: Path) -> Listing:
    listing = Listing("pairs", root, sections={})
    places = _places(root)
    for place in places:
        images, doubled = images_by_stem(place.images, root)
        listing.faults.extend(doubled)
        # Test images without any masks are for prediction; everywhere else a mask that lacks is a fault.
        for_prediction = place.section == "test" and not place.masks.is_dir()
        partners = {} if for_prediction else _partners(images, place, listing)
        for key, image in images.items():
            record: Record = {"image": str(image)}
            if key in partners:
                record["label"] = str(partners[key])
            elif not for_prediction:
                continue
            first, *rest = Path(key).parts
            section = SECTION_FOLDERS.get(first.lower(), place.section) if rest else place.section
            listing.sections.setdefault(section, []).append(record)
    if not listing.sections and not listing.faults:
        raise LayoutError(_nothing(root, [place.images for place in places if place.images.is_dir()]))
    return listing


def _places(root: Path) -> list[_Place]:
    """The places with an image or a mask folder: the root and each folder that is named like a section."""
    bases = [("unsplit", root)]
    bases += [(SECTION_FOLDERS[name], path) for name, path in subfolders(root).items() if name in SECTION_FOLDERS]
    places = []
    for section, base in bases:
        inside = subfolders(base)
        masks = next((inside[name] for name in _MASK_FOLDERS if name in inside), base / _MASK_FOLDERS[0])
        place = _Place(section, inside.get("images", base / "images"), masks)
        if place.images.is_dir() or place.masks.is_dir():
            places.append(place)
    return places


def _partners(images: dict[str, Path], place: _Place, listing: Listing) -> dict[str, Path]:
    """Match masks to images by stem, first exactly, then without an ending such as ``_mask``; report the others."""
    root = listing.root
    found, doubled = images_by_stem(place.masks, root)
    listing.faults.extend(doubled)
    partners = {key: mask for key, mask in found.items() if key in images}
    for key, mask in found.items():
        if key in images:
            continue
        short = _MASK_ENDING.sub("", key)
        if short not in images:
            facts = (
                fact("label", relative(mask, root)),
                fact("image", f"{relative(place.images, root)}/{short}.*", "none"),
            )
            listing.faults.append(Fault(stem(mask), "the mask has no image", facts, "add the image or remove the mask"))
        elif short in partners:
            both = tuple(fact("label", relative(path, root)) for path in (partners[short], mask))
            listing.faults.append(Fault(stem(short), "two masks for one image", both, "keep one of them"))
        else:
            partners[short] = mask
    for key, image in images.items():
        if key not in partners:
            facts = (
                fact("image", relative(image, root)),
                fact("label", f"{relative(place.masks, root)}/{key}.*", "none"),
            )
            listing.faults.append(
                Fault(stem(image), "the image has no mask", facts, "add the mask or remove the image")
            )
    return partners


def _nothing(root: Path, folders: list[Path]) -> Fault:
    facts = tuple(fact("found", f"{relative(folder, root)}/", summarise(folder)) for folder in folders)
    return Fault("", "no image of a known type", facts, "images are png, jpg, tif, bmp, nii or nii.gz")


LAYOUT = Layout("pairs", _SHAPE, _recognises, _read)
