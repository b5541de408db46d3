"""Which section each image of an ``images/`` folder belongs to: by lists beside it, else by where it lies."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import images_by_stem, relative, stem
from monai_seg.data.layouts.listing import SECTION_FOLDERS
from monai_seg.data.layouts.places import Place


def images_with_sections(place: Place, root: Path) -> tuple[dict[str, Path], dict[str, str], list[Fault]]:
    """Find the images of a place and tell the section of each.

    ``train.txt``, ``val.txt`` and ``test.txt`` beside ``images/`` hold one name a line, relative to ``images/``, with
    or without extension. Without such lists a folder in ``images/`` that is named like a section counts.

    Args:
        place: where the images lie.
        root: folder that files are named relative to.

    Returns:
        All images by their path without extension, as `images_by_stem`; the section of those that have one, in the
        same order; a fault for each image that is in no list or in two, for each listed name without a file, and for
        each list that cannot be read.
    """
    images, faults = images_by_stem(place.images, root)
    lists = [
        path
        for path in sorted(place.images.parent.iterdir())
        if path.suffix.lower() == ".txt" and path.stem.lower() in SECTION_FOLDERS and path.is_file()
    ]
    if not lists:
        return images, {key: _section_by_folder(key, place) for key in images}, faults
    key_of = {key: key for key in images} | {relative(path, place.images): key for key, path in images.items()}
    listed: dict[str, list[Path]] = {key: [] for key in images}
    for path in lists:
        names, broken = _names(path, root)
        faults += broken
        for name in names:
            if name in key_of:
                listed[key_of[name]].append(path)
            else:
                faults.append(_missing(name, path, place, images, root))
    sections = {}
    for key, found in listed.items():
        if len(set(found)) == 1:
            sections[key] = SECTION_FOLDERS[found[0].stem.lower()]
        else:
            faults.append(_not_in_one(images[key], found, lists, root))
    return images, sections, faults


def _section_by_folder(key: str, place: Place) -> str:
    first, *rest = Path(key).parts
    return SECTION_FOLDERS.get(first.lower(), place.section) if rest else place.section


def _names(path: Path, root: Path) -> tuple[list[str], list[Fault]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        facts = (fact("list", relative(path, root), str(error)),)
        return [], [Fault("", f"{path.name} cannot be read", facts, "save it as text in UTF-8, one file name a line")]
    return [PurePosixPath(line.strip().replace("\\", "/")).as_posix() for line in lines if line.strip()], []


def _missing(name: str, path: Path, place: Place, images: dict[str, Path], root: Path) -> Fault:
    near = images.get((PurePosixPath(name).parent / stem(name)).as_posix())
    found = f"none; there is {near.name}" if near else "none"
    facts = (fact("list", relative(path, root), name), fact("image", relative(place.images / name, root), found))
    mend = f"restore the image, or take the line out; names are relative to {relative(place.images, root)}/"
    return Fault(stem(name), "the listed image is missing", facts, mend)


def _not_in_one(image: Path, found: list[Path], lists: list[Path], root: Path) -> Fault:
    facts = (fact("image", relative(image, root)), *(fact("list", relative(path, root)) for path in sorted(set(found))))
    if found:
        return Fault(stem(image), "the image is in two lists", facts, "take it out of all but one")
    facts += (fact("looked in", ", ".join(path.name for path in lists)),)
    return Fault(stem(image), "the image is in no list", facts, "add its name to one of the lists, or remove the image")
