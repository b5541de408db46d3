"""An annotation as a mask, and a mask as an annotation: pycocotools, with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Annotation = Mapping[str, Any]


class AnnotationError(ValueError):
    """A segmentation that cannot be drawn."""


def draw(annotation: Annotation, size: Sequence[int]) -> np.ndarray:
    """Draw one object.

    Args:
        annotation: see `monai_seg.data.annotations`. Several polygons are parts of one object; holes need a code.
        size: height and width of the image.

    Returns:
        ``(H, W)`` uint8, 0 or 1.

    Raises:
        AnnotationError: the segmentation is none, or of another size.
    """
    from pycocotools import mask as coco_mask

    return coco_mask.decode(run_length_code(annotation.get("segmentation"), size))


def run_length_code(segmentation: Any, size: Sequence[int]) -> dict[str, Any]:
    """COCO's compressed run-length code of polygons or of a code that is there already.

    Raises:
        AnnotationError: see `draw`.
    """
    from pycocotools import mask as coco_mask

    height, width = (int(length) for length in size)
    if isinstance(segmentation, Mapping):
        return _checked_code(segmentation, height, width)
    wrong = wrong_polygons(segmentation)
    if wrong:
        raise AnnotationError(wrong)
    parts = coco_mask.frPyObjects([[float(value) for value in part] for part in segmentation], height, width)
    return coco_mask.merge(parts)


def wrong_polygons(segmentation: Any) -> str:
    """What keeps a list of polygons from being drawn; "" where nothing does."""
    import numpy as np

    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str) or not segmentation:
        return "there is no segmentation"
    for polygon in segmentation:
        if not isinstance(polygon, Sequence) or isinstance(polygon, str):
            return "a polygon is no list of numbers"
        if len(polygon) % 2:
            return f"a polygon has {len(polygon)} numbers, which are no pairs of x and y"
        if len(polygon) < 6:
            points = len(polygon) // 2
            return f"a polygon has {points} point{'' if points == 1 else 's'}; 3 enclose an area"
        try:
            values = np.asarray(polygon, dtype=float)
        except (TypeError, ValueError):
            return "a polygon holds something else than numbers"
        if not np.isfinite(values).all():
            return "a polygon holds NaN or infinite numbers"
    return ""


def encode(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length code of a mask, as text that JSON takes.

    Args:
        mask: ``(H, W)``; what is not 0 belongs to the object.
    """
    import numpy as np
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask != 0).view(np.uint8))
    return {"size": [int(length) for length in code["size"]], "counts": code["counts"].decode("ascii")}


def _checked_code(code: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    size, counts = code.get("size"), code.get("counts")
    if not isinstance(size, Sequence) or [int(length) for length in size] != [height, width]:
        found = " x ".join(map(str, reversed(size))) if isinstance(size, Sequence) else str(size)
        raise AnnotationError(f"a run-length code is of {found} pixels, the image of {width} x {height}")
    if isinstance(counts, (str, bytes)):
        text = counts.encode() if isinstance(counts, str) else counts
    elif isinstance(counts, Sequence):
        if sum(counts) != height * width or min(counts, default=0) < 0:
            raise AnnotationError(f"a run-length code covers {sum(counts)} of {height * width} pixels")
        return coco_mask.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)
    else:
        raise AnnotationError("a run-length code has no counts")
    if _covered(text) != height * width:
        raise AnnotationError(f"a run-length code covers {_covered(text)} of {height * width} pixels")
    return {"size": [height, width], "counts": text}


def _covered(counts: bytes) -> int:
    """How many pixels a compressed code covers. pycocotools reads past the end of what covers too few or too many."""
    runs: list[int] = []
    position = 0
    while position < len(counts):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(counts) or not 48 <= counts[position] < 112:
                return -1
            byte = counts[position] - 48
            value |= (byte & 0x1F) << shift
            more, shift, position = bool(byte & 0x20), shift + 5, position + 1
            if not more and byte & 0x10:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        if runs[-1] < 0:
            return -1
    return sum(runs)
