"""Layout "pairs": images and masks in two folders, matched by stem."""

from __future__ import annotations

import re
from pathlib import Path

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import MASK_WORDS, images_by_stem, relative, stem
from monai_seg.data.layouts.listing import Layout, LayoutError, Listing, Record
from monai_seg.data.layouts.places import Place, no_image, places
from monai_seg.data.layouts.section_lists import images_with_sections

_SHAPE = "images/ and masks/ (or labels/, annotations/), under train/ val/ test/ or with train.txt val.txt test.txt"
_MASK_ENDING = re.compile(rf"[-_. ]({MASK_WORDS})$", re.IGNORECASE)


def _recognises(path: Path) -> bool:
    found = places(path) if path.is_dir() else []
    return any(place.images.is_dir() for place in found) and any(place.masks.is_dir() for place in found)


def _read(root: Path) -> Listing:
    listing = Listing("pairs", root, sections={})
    found = places(root)
    for place in found:
        images, sections, faults = images_with_sections(place, root)
        listing.faults.extend(faults)
        # Test images without any masks are for prediction; everywhere else a mask that lacks is a fault.
        for_prediction = place.section == "test" and not place.masks.is_dir()
        partners = {} if for_prediction else _partners(images, place, listing)
        for key, section in sections.items():
            record: Record = {"image": str(images[key])}
            if key in partners:
                record["label"] = str(partners[key])
            elif not for_prediction:
                continue
            listing.sections.setdefault(section, []).append(record)
    if not listing.sections and not listing.faults:
        raise LayoutError(no_image(root, found))
    return listing


def _partners(images: dict[str, Path], place: Place, listing: Listing) -> dict[str, Path]:
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


LAYOUT = Layout("pairs", _SHAPE, _recognises, _read)
