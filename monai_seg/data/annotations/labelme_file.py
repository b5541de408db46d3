"""A file of LabelMe taken apart: the annotations of one image.

Source: https://github.com/wkentaro/labelme, ``labelme/label_file.py``; shapes are ``polygon``, ``rectangle``,
``circle``, ``mask`` and some without area. Shapes of one label and one ``group_id`` are parts of one object.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping
from typing import Any

from monai_seg.data.annotations.annotated_image import AnnotatedImage
from monai_seg.data.annotations.shapes import ellipse, rectangle
from monai_seg.data.fault import Fault, fact


def is_labelme(content: Any) -> bool:
    """Whether a JSON object is a file of LabelMe."""
    return (
        isinstance(content, Mapping)
        and isinstance(content.get("shapes"), list)
        and isinstance(content.get("imagePath"), str)
    )


def image_of(content: Mapping[str, Any], name: str) -> tuple[AnnotatedImage, list[Fault]]:
    """The image of a LabelMe file with its annotations.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        The image, and a fault for each shape that is no area.
    """
    told = [content.get("imageHeight"), content.get("imageWidth")]
    size = [int(each) for each in told if isinstance(each, int)]
    image = AnnotatedImage(content["imagePath"], size if len(size) == 2 else None)
    faults: list[Fault] = []
    groups: dict[tuple[str, Any], dict[str, Any]] = {}
    for number, shape in enumerate(content["shapes"], start=1):
        label = str(shape.get("label") or "") if isinstance(shape, Mapping) else ""
        segmentation = _segmentation(shape, size) if label else None
        if segmentation is None:
            kind = shape.get("shape_type", "polygon") if isinstance(shape, Mapping) else "something else"
            problem = (
                f"shape {number} in {name} is a {kind}, no area" if label else f"shape {number} in {name} has no label"
            )
            mend = "draw a polygon, rectangle, circle or mask and name it, or remove it"
            faults.append(Fault(image.case, problem, (fact("file", name),), mend))
            continue
        group = shape.get("group_id")
        known = groups.get((label, group)) if group is not None and isinstance(segmentation, list) else None
        if known is not None:
            known["segmentation"] += segmentation
            continue
        annotation = {"category": label, "segmentation": segmentation, "iscrowd": 0}
        image.annotations.append(annotation)
        if group is not None and isinstance(segmentation, list):
            groups[label, group] = annotation
    return image, faults


def _segmentation(shape: Mapping[str, Any], size: list[int]) -> list[list[float]] | dict[str, Any] | None:
    """Polygons or a run-length code of a shape; None where it encloses nothing by its kind, or lacks a number."""
    kind = shape.get("shape_type", "polygon")
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if kind == "polygon":
            return [[value for point in points for value in point]]
        if kind in ("rectangle", "circle", "mask") and len(points) != 2:
            return None
        if kind == "rectangle":
            (x0, y0), (x1, y1) = points
            return [rectangle(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))]
        if kind == "circle":
            radius = math.dist(*points)
            return [ellipse(*points[0], radius, radius)]
        return _code(shape["mask"], points, size) if kind == "mask" and len(size) == 2 else None
    except (KeyError, TypeError, ValueError, binascii.Error, OSError):
        return None


def _code(mask: str, points: list[tuple[float, float]], size: list[int]) -> dict[str, Any]:
    """The code of a mask that is kept as a PNG of its bounding box."""
    import numpy as np
    from PIL import Image

    from monai_seg.data.annotations.drawing import encode

    part = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask)))) != 0
    left, top = (round(value) for value in points[0])
    whole = np.zeros(size, np.uint8)
    place = whole[top : top + part.shape[0], left : left + part.shape[1]]
    place[:] = part[: place.shape[0], : place.shape[1]]
    return encode(whole)
