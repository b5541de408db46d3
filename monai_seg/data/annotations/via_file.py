"""A file of the VGG Image Annotator taken apart: a project, or exported annotations, of version 1 or 2.

Source: https://www.robots.ox.ac.uk/~vgg/software/via/docs/face_track_annotation.html and the program itself; shapes
are ``polygon``, ``polyline``, ``rect``, ``circle``, ``ellipse`` and ``point``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from monai_seg.data.annotations.annotated_image import AnnotatedImage
from monai_seg.data.annotations.shapes import ellipse, rectangle
from monai_seg.data.fault import Fault, enumerate_briefly, fact

_PROJECT = "_via_img_metadata"
_CLASS_WORDS = ("class", "class_name", "category", "label", "name", "type")
UNNAMED = "object"
"""Class of regions that have no attribute at all."""


def is_via(content: Any) -> bool:
    """Whether a JSON object is a project of VIA, or annotations that it exported."""
    if not isinstance(content, Mapping) or not content:
        return False
    entries = list(_images(content))
    return bool(entries) and all(
        isinstance(each, Mapping) and {"filename", "regions"} <= each.keys() for each in entries
    )


def images_of(content: Mapping[str, Any], name: str) -> tuple[list[AnnotatedImage], list[Fault]]:
    """The images of a VIA file with their annotations, in its order, those without any too.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        The images, and a fault for each region that is no area, or whose class cannot be told.
    """
    faults: list[Fault] = []
    attribute = _class_attribute(content, name, faults)
    images = []
    for entry in _images(content):
        image = AnnotatedImage(str(entry["filename"]), None)
        for number, region in enumerate(_regions(entry), start=1):
            where = (fact("image", image.file_name, f"region {number}"),)
            polygon = _polygon(region.get("shape_attributes") or {})
            category = _category(region.get("region_attributes") or {}, attribute)
            if polygon is None:
                kind = (region.get("shape_attributes") or {}).get("name", "nothing")
                mend = "draw a polygon, rectangle, circle or ellipse, or remove it"
                faults.append(Fault(image.case, f"a region in {name} is a {kind}, no area", where, mend))
            elif category is None:
                mend = f"choose one value of {attribute!r} for it"
                faults.append(Fault(image.case, f"a region in {name} has no class", where, mend))
            else:
                image.annotations.append({"category": category, "segmentation": [polygon], "iscrowd": 0})
        images.append(image)
    return images, faults


def _images(content: Mapping[str, Any]) -> Iterator[Any]:
    metadata = content.get(_PROJECT, content)
    yield from metadata.values() if isinstance(metadata, Mapping) else ()


def _regions(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    regions = entry["regions"]  # version 1 has an object whose keys are numbers
    return [
        each for each in (regions.values() if isinstance(regions, Mapping) else regions) if isinstance(each, Mapping)
    ]


def _class_attribute(content: Mapping[str, Any], name: str, faults: list[Fault]) -> str | None:
    """The attribute that tells the class: the only one, or the one with a telling name; None where there is none."""
    attributes = Counter(
        key for entry in _images(content) for region in _regions(entry) for key in region.get("region_attributes") or {}
    )
    telling = [key for word in _CLASS_WORDS for key in attributes if key.lower() == word]
    if len(attributes) > 1 and not telling:
        facts = (fact("found", enumerate_briefly(sorted(attributes))),)
        mend = f"call the attribute of the class one of {', '.join(_CLASS_WORDS)}"
        faults.append(Fault("", f"{name} does not tell which attribute is the class", facts, mend))
    return telling[0] if telling else next(iter(attributes), None)


def _category(attributes: Mapping[str, Any], attribute: str | None) -> str | None:
    if attribute is None:
        return UNNAMED
    value = attributes.get(attribute)
    if isinstance(value, Mapping):  # of check boxes
        chosen = [str(key) for key, is_chosen in value.items() if is_chosen]
        return chosen[0] if len(chosen) == 1 else None
    return str(value).strip() or None if value is not None else None


def _polygon(shape: Mapping[str, Any]) -> list[float] | None:
    """A shape as a polygon; None where it encloses nothing by its kind, or lacks a number."""
    try:
        if shape.get("name") == "polygon":
            pairs = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
            return [float(value) for pair in pairs for value in pair]
        if shape.get("name") == "rect":
            return rectangle(*(float(shape[key]) for key in ("x", "y", "width", "height")))
        if shape.get("name") == "circle":
            return ellipse(float(shape["cx"]), float(shape["cy"]), float(shape["r"]), float(shape["r"]))
        if shape.get("name") == "ellipse":
            x, y, radius_x, radius_y = (float(shape[key]) for key in ("cx", "cy", "rx", "ry"))
            return ellipse(x, y, radius_x, radius_y, float(shape.get("theta", 0.0)))
    except (KeyError, TypeError, ValueError):
        return None
    return None
