"""Layout "classes": one folder of pictures for each class."""

from __future__ import annotations

import re
from pathlib import Path

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import (
    MASK_WORDS,
    extension,
    image_names,
    images_by_stem,
    is_clutter,
    relative,
    stem,
    subfolders,
    summarise,
)
from monai_seg.data.layouts.identities import name_persons
from monai_seg.data.layouts.listing import SECTION_FOLDERS, Layout, Listing
from monai_seg.data.layouts.places import section_bases

_SHAPE = "CLASS/*.png in two or more folders (pictures, no masks among them), also under train/ val/ test/"
# Folders of other shapes that are not read: images with masks, and sections.
_NO_CLASS = re.compile(
    r"(images?|imgs?|inputs?|targets?|masks?|labels?|annotations?|gts?|ground[-_ ]?truths?|seg(mentation)?s?"
    r"|train(ing)?|val(id(ation)?)?|test(ing)?)([-_ ]?(tr|ts|train|val|test|\d+))*",
    re.IGNORECASE,
)
_MASK = re.compile(rf"(^|[-_. ])({MASK_WORDS})$", re.IGNORECASE)


def _recognises(path: Path) -> bool:
    if not path.is_dir():
        return False
    folders = [folder for _, base in section_bases(path) for folder in subfolders(base).values()]
    full = [folder for folder in folders if image_names(folder)]
    # An empty one counts: it is a class that lost its images, which is to be said.
    empty = [folder for folder in folders if _is_empty(folder) and not _NO_CLASS.fullmatch(folder.name)]
    return bool(full) and len({folder.name for folder in full + empty}) > 1 and all(map(_may_be_class, full))


def _is_empty(folder: Path) -> bool:
    return all(is_clutter(path.name) for path in folder.iterdir())


def _may_be_class(folder: Path) -> bool:
    """Whether a folder holds pictures for the most part, no volumes, and no masks of pictures beside them."""
    images = image_names(folder)
    files = [path for path in folder.iterdir() if path.is_file() and not is_clutter(path.name)]
    return (
        not _NO_CLASS.fullmatch(folder.name)
        and 2 * len(images) > len(files)
        and not any(extension(name).startswith(".nii") or _MASK.search(stem(name)) for name in images)
    )


def _read(root: Path) -> Listing:
    images, faults = images_by_stem(root, root)
    listing = Listing("classes", root, sections={}, faults=faults)
    for image in images.values():
        folders = list(image.relative_to(root).parts[:-1])
        section = SECTION_FOLDERS.get(folders[0].lower()) if folders else None
        if section:
            folders.pop(0)
        if len(folders) == 1:
            record = {"image": str(image), "class": folders[0]}
            listing.sections.setdefault(section or "unsplit", []).append(record)
        else:
            facts = (fact("image", relative(image, root)), fact("expected", "CLASS/*.png"))
            problem = f"the image lies {'below a class folder' if folders else 'in no class folder'}"
            mend = "move it into the folder of its class, or out of the data set"
            listing.faults.append(Fault(stem(image), problem, facts, mend))
    listing.faults.extend(_without_images(root, set(images.values())))
    listing.faults.extend(name_persons([r for part in listing.sections.values() for r in part], root))
    return listing


def _without_images(root: Path, images: set[Path]) -> list[Fault]:
    """Class folders that hold no image: their class would be learnt from nothing."""
    parents = {parent for image in images for parent in image.parents}
    return [
        Fault("", "the class folder holds no image",
              (fact("folder", f"{relative(folder, root)}/", summarise(folder)),),
              "put images of the class there, or remove the folder")
        for _, base in section_bases(root)
        for folder in subfolders(base).values()
        if folder not in parents
    ]  # fmt: skip


LAYOUT = Layout("classes", _SHAPE, _recognises, _read)
