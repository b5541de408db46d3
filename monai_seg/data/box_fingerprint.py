"""Anchor sizes that fit the objects of a data set: `anchor_sizes`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from monai_seg.data.annotations.drawing import AnnotationError, run_length_code
from monai_seg.data.layouts import Record

if TYPE_CHECKING:
    import numpy as np

_STEPS = 8  # candidates for the smallest size between one and its double
_LEAST, _MOST = 4.0, 64.0  # pixels, of the smallest size


def anchor_sizes(
    records: Iterable[Record],
    image_size: int,
    level_count: int = 4,
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
) -> list[int]:
    """Choose one anchor size for each level of a feature pyramid, from the boxes of annotated images.

    Each level looks for objects of twice the size of the one before. Of all such rows of sizes the one is taken whose
    anchors overlap the boxes best, each box with the anchor that suits it most.

    Args:
        records: with ``annotations`` and ``size``; those without are passed over.
        image_size: pixels of the longer side as the network sees an image.
        level_count: of the pyramid, the number of sizes.
        anchor_ratios: width over height of the anchors.

    Returns:
        Sizes in pixels of what the network sees, smallest first; a box of that size has its square as area.

    Raises:
        ValueError: no object is annotated.
    """
    import numpy as np

    sides = box_sides(records, image_size)
    if not len(sides):
        raise ValueError("no object is annotated: give anchor_sizes, about the sides of the objects to find")
    steps = np.arange(np.log2(_LEAST), np.log2(_MOST) + 1e-9, 1 / _STEPS)
    rows = [np.unique([round(2**step)])[0] * 2 ** np.arange(level_count) for step in steps]
    best = max(rows, key=lambda row: float(best_overlap(sides, row, anchor_ratios).mean()))
    return [int(size) for size in best]


def box_sides(records: Iterable[Record], image_size: int) -> np.ndarray:
    """Height and width of each annotated box, in pixels of an image whose longer side is ``image_size``: ``(N, 2)``."""
    import numpy as np
    from pycocotools import mask as coco_mask

    sides = []
    for record in records:
        size = record.get("size") or ()
        for annotation in record.get("annotations") or () if size else ():
            try:
                _, _, width, height = coco_mask.toBbox(run_length_code(annotation.get("segmentation"), size))
            except AnnotationError:
                continue  # the check of the data says what is wrong
            sides.append([height * image_size / max(size), width * image_size / max(size)])
    return np.array(sides, float).reshape(-1, 2)


def best_overlap(sides: np.ndarray, sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Overlap (IoU) of each box with the anchor that suits it most, both about the same middle: ``(N,)``."""
    import numpy as np

    root = np.sqrt(np.asarray(ratios, float))
    anchors = np.stack([np.outer(sizes, 1 / root).ravel(), np.outer(sizes, root).ravel()], axis=1)
    common = np.minimum(sides[:, None], anchors[None]).prod(axis=2)
    return (common / (sides.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - common)).max(axis=1)
