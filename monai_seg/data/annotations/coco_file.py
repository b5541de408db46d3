"""A COCO file taken apart: the annotations of each image, categories by name, and all that contradicts itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from monai_seg.data.annotations.annotated_image import AnnotatedImage
from monai_seg.data.fault import Fault, enumerate_briefly, fact

KEYS = ("images", "annotations", "categories")
_KEPT = ("segmentation", "bbox")


def is_coco(content: Any) -> bool:
    """Whether a JSON object is a data set in COCO's form."""
    return isinstance(content, Mapping) and all(isinstance(content.get(key), list) for key in KEYS)


def images_of(content: Mapping[str, Any], name: str) -> tuple[list[AnnotatedImage], list[Fault]]:
    """The images of a COCO file with their annotations, in its order, those without any too.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        The images, and a fault for each id that is there twice, each annotation of an image or a category that is not
        there, and each entry that is none.
    """
    faults: list[Fault] = []
    names = _category_names(content["categories"], name, faults)
    images: dict[Any, AnnotatedImage] = {}
    for entry in _entries(content["images"], "image", ("id", "file_name"), name, faults):
        size = [int(entry[key]) for key in ("height", "width") if isinstance(entry.get(key), int)]
        image = AnnotatedImage(str(entry["file_name"]), size if len(size) == 2 else None)
        if entry["id"] in images:
            facts = (
                fact("image", images[entry["id"]].file_name, f"id {entry['id']}"),
                fact("image", image.file_name, f"id {entry['id']}"),
            )
            mend = "give each image an id of its own; which objects are whose cannot be told"
            faults.append(Fault(image.case, f"two images in {name} have the same id", facts, mend))
        images[entry["id"]] = image
    _repeated_ids(content["annotations"], name, faults)
    for entry in _entries(content["annotations"], "annotation", ("image_id", "category_id"), name, faults):
        label = f"id {entry.get('id', '?')}"
        if entry["image_id"] not in images:
            strange = (fact("annotation", label, f"image_id {entry['image_id']}"),)
            faults.append(Fault("", f"an annotation in {name} is of no image", strange, "add the image, or remove it"))
        elif entry["category_id"] not in names:
            facts = (
                fact("annotation", label, f"category_id {entry['category_id']}"),
                fact("known", enumerate_briefly([f"{key} {value}" for key, value in names.items()])),
            )
            case = images[entry["image_id"]].case
            faults.append(Fault(case, "an annotation is of no category", facts, "add the category, or correct its id"))
        else:
            images[entry["image_id"]].annotations.append(_plain(entry, names[entry["category_id"]]))
    return list(images.values()), faults


def _plain(entry: Mapping[str, Any], category: str) -> dict[str, Any]:
    kept = {key: entry[key] for key in _KEPT if entry.get(key) is not None}
    return {"category": category, **kept, "iscrowd": int(bool(entry.get("iscrowd", 0)))}


def _category_names(categories: Iterable[Any], name: str, faults: list[Fault]) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for entry in _entries(categories, "category", ("id", "name"), name, faults):
        if names.get(entry["id"], entry["name"]) != entry["name"]:
            facts = (fact("id", str(entry["id"]), f"{names[entry['id']]} and {entry['name']}"),)
            faults.append(Fault("", f"two categories in {name} have the same id", facts, "give each an id of its own"))
        names[entry["id"]] = str(entry["name"])
    return names


def _repeated_ids(entries: Iterable[Any], name: str, faults: list[Fault]) -> None:
    ids = Counter(entry["id"] for entry in entries if isinstance(entry, Mapping) and "id" in entry)
    repeated = [f"{key} ({count} times)" for key, count in ids.items() if count > 1]
    if repeated:
        facts = (fact("found", enumerate_briefly(repeated)),)
        faults.append(Fault("", f"annotations in {name} share an id", facts, "give each an id of its own"))


def _entries(
    entries: Iterable[Any], kind: str, needed: tuple[str, ...], name: str, faults: list[Fault]
) -> Iterable[Mapping[str, Any]]:
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Mapping) and all(isinstance(entry.get(key), (int, str)) for key in needed):
            yield entry
        else:
            facts = (fact("found", str(entry)[:60]),)
            mend = f"write {' and '.join(needed)}"
            faults.append(Fault("", f"{kind} {number} in {name} is incomplete", facts, mend))
