"""Layout "yolo": images and one text file of outlines for each, as Ultralytics' segmentation models read them.

Source: https://docs.ultralytics.com/datasets/segment/: lines of ``class x0 y0 x1 y1 ...``, the numbers as shares of
width and height; classes by their number in ``data.yaml`` or ``classes.txt``. An image without a file, or with an empty
one, shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.annotated import has_list
from monai_seg.data.layouts.files import image_names, images_by_stem, relative, stem, subfolders
from monai_seg.data.layouts.listing import SECTION_FOLDERS, Layout, LayoutError, Listing, Record
from monai_seg.data.layouts.places import section_bases

_SHAPE = "images/ + labels/*.txt (YOLO outlines) and data.yaml or classes.txt, train/ val/ test/ within or around"
_LISTS = ("classes.txt", "train.txt", "val.txt", "test.txt")


def _recognises(path: Path) -> bool:
    return path.is_dir() and not has_list(path) and any(_is_place(*each) for each in _places(path))


def _is_place(section: str, images: Path, labels: Path) -> bool:
    return images.is_dir() and labels.is_dir() and not image_names(labels) and any(_label_files(labels))


def _read(root: Path) -> Listing:
    listing = Listing("yolo", root, sections={})
    names, faults = _class_names(root)
    listing.faults.extend(faults)
    for section, images, labels in _places(root):
        found, doubled = images_by_stem(images, root) if images.is_dir() else ({}, [])
        listing.faults.extend(doubled)
        files = {relative(path.with_suffix(""), labels): path for path in _label_files(labels)}
        for key, file in files.items():
            if key not in found:
                facts = (
                    fact("labels", relative(file, root)),
                    fact("image", f"{relative(images, root)}/{key}.*", "none"),
                )
                listing.faults.append(Fault(file.stem, "the outlines have no image", facts, "add the image"))
        for key, image in found.items():
            record: Record = {"image": str(image), "annotations": []}
            if key in files:
                size = _size(image)
                if size is None:
                    continue  # the check says that it is unreadable
                annotations, wrong = _annotations(files[key], size, names, relative(files[key], root))
                listing.faults.extend(wrong)
                record |= {"annotations": annotations, "size": size}
            listing.sections.setdefault(section, []).append(record)
    if not listing.sections and not listing.faults:
        raise LayoutError(Fault("", f"no image lies beside the labels in {root}", (), "put the images into images/"))
    return listing


def _places(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """Section, images and labels: ``train/images`` and ``images/train`` are both usual."""
    for section, base in section_bases(root):
        inside = subfolders(base)
        images, labels = inside.get("images", base / "images"), inside.get("labels", base / "labels")
        within = [name for name in (subfolders(images) if images.is_dir() else ()) if name in SECTION_FOLDERS]
        for name in within:
            yield SECTION_FOLDERS[name], images / name, labels / name
        if not within:
            yield section, images, labels


def _label_files(labels: Path) -> list[Path]:
    found = sorted(labels.rglob("*.txt")) if labels.is_dir() else []
    return [path for path in found if path.name not in _LISTS]


def _class_names(root: Path) -> tuple[dict[int, str], list[Fault]]:
    """The names of the classes by their numbers."""
    for file in (*sorted(root.glob("*.yaml")), *sorted(root.glob("*.yml"))):
        import yaml

        try:
            names = (yaml.safe_load(file.read_text("utf-8")) or {}).get("names")
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
            return {}, [Fault("", f"{file.name} cannot be read", (fact("found", str(error)[:80]),), "mend the file")]
        if isinstance(names, (list, dict)):
            return {
                int(key): str(name) for key, name in (names.items() if isinstance(names, dict) else enumerate(names))
            }, []
    for file in (root / "classes.txt", root / "labels" / "classes.txt"):
        if file.is_file():
            return dict(enumerate(file.read_text("utf-8").split("\n"))), []
    facts = (fact("looked for", "data.yaml with names, classes.txt"),)
    return {}, [Fault("", "the classes have no names", facts, "write data.yaml with 'names: [first, second]'")]


def _size(image: Path) -> list[int] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            return [opened.height, opened.width]
    except (UnidentifiedImageError, OSError):
        return None


def _annotations(
    file: Path, size: list[int], names: dict[int, str], name: str
) -> tuple[list[dict[str, Any]], list[Fault]]:
    annotations: list[dict[str, Any]] = []
    faults = []
    for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        problem, mend = "", ""
        try:
            first, *rest = (float(word) for word in line.split())
        except ValueError:
            first, rest = -1.0, []
        if first < 0 or first != int(first) or len(rest) % 2:
            problem, mend = "is no outline", "write the number of the class and pairs of x and y"
        elif len(rest) == 4:
            problem, mend = "is a box, no outline", "export outlines, as for segmentation"
        elif names and int(first) not in names:
            problem, mend = f"is of class {int(first)}, which has no name", "add it to the names"
        if problem:
            faults.append(
                Fault(stem(file.stem), f"line {number} of {name} {problem}", (fact("found", line[:60]),), mend)
            )
            continue
        scaled = [value * size[1 - place % 2] for place, value in enumerate(rest)]
        category = names.get(int(first), str(int(first)))
        annotations.append({"category": category, "segmentation": [scaled], "iscrowd": 0})
    return annotations, faults


LAYOUT = Layout("yolo", _SHAPE, _recognises, _read)
