"""Layout "images": photographs without masks in ``images/``."""

from __future__ import annotations

from pathlib import Path

from monai_seg.data.layouts.files import image_names, subfolders
from monai_seg.data.layouts.listing import Layout, LayoutError, Listing
from monai_seg.data.layouts.places import no_image, places, section_bases
from monai_seg.data.layouts.section_lists import images_with_sections

_SHAPE = "images/ with no masks and no JSON beside it, under train/ val/ test/ or with train.txt val.txt test.txt"


def _recognises(path: Path) -> bool:
    found = places(path) if path.is_dir() else []
    if not found or any(place.masks.is_dir() or not place.images.is_dir() for place in found):
        return False
    # Masks in a folder of another name or in a JSON file must not be lost in silence: such a folder is not recognised.
    bases = [base for _, base in section_bases(path)]
    beside = [folder for base in bases for name, folder in subfolders(base).items() if name != "images"]
    return not any(map(image_names, beside)) and not any(file for base in bases for file in base.glob("*.json"))


def _read(root: Path) -> Listing:
    listing = Listing("images", root, sections={})
    found = places(root)
    for place in found:
        images, sections, faults = images_with_sections(place, root)
        listing.faults.extend(faults)
        for key, section in sections.items():
            listing.sections.setdefault(section, []).append({"image": str(images[key])})
    if not listing.sections and not listing.faults:
        raise LayoutError(no_image(root, found))
    return listing


LAYOUT = Layout("images", _SHAPE, _recognises, _read)
