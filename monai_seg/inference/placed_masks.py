"""Masks of single objects in a large image, each as small as its object: `PlacedMask`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Box = tuple[tuple[int, ...], tuple[int, ...]]  # first pixel along each axis, and the one behind the last


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """What a mask of the size of an image says of one object, without the emptiness around it.

    Args:
        corner: first pixel along each axis.
        pixels: the object within its box, bool.

    Shape:
        pixels ``(h, w)`` or ``(h, w, d)``.
    """

    corner: tuple[int, ...]
    pixels: np.ndarray

    @classmethod
    def cut_out(cls, mask: np.ndarray, shift: Sequence[int] = ()) -> PlacedMask:
        """The object in a mask.

        Args:
            mask: what is not 0 belongs to the object.
            shift: of the mask in the image, in pixels along each axis.
        """
        inside = mask != 0
        spans = [np.flatnonzero(inside.any(axis=_others(axis, inside.ndim))) for axis in range(inside.ndim)]
        if not len(spans[0]):
            return cls(tuple(shift) or (0,) * inside.ndim, np.zeros((0,) * inside.ndim, bool))
        first = [int(span[0]) for span in spans]
        part = inside[tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)].copy()
        return cls(tuple(a + int(b) for a, b in zip(first, shift or (0,) * len(first), strict=True)), part)

    @property
    def box(self) -> Box:
        """First pixel along each axis, and the one behind the last."""
        return self.corner, tuple(a + b for a, b in zip(self.corner, self.pixels.shape, strict=True))

    @cached_property
    def area(self) -> int:
        """Number of pixels or voxels."""
        return int(self.pixels.sum())

    def within(self, box: Box) -> np.ndarray:
        """The part of the mask that lies in a box, as an array of what they share; empty where that is nothing."""
        first = [max(a, b) for a, b in zip(self.corner, box[0], strict=True)]
        last = [min(a, b) for a, b in zip(self.box[1], box[1], strict=True)]
        places = zip(first, last, self.corner, strict=True)
        return self.pixels[tuple(slice(low - own, max(low, high) - own) for low, high, own in places)]

    def paste(self, target: np.ndarray, value: Any = 1) -> None:
        """Write a value where the object is into an array of the size of the image."""
        target[tuple(slice(low, high) for low, high in zip(*self.box, strict=True))][self.pixels] = value

    def united(self, others: Iterable[PlacedMask]) -> PlacedMask:
        """One mask of all that belongs to this one or to another."""
        parts = [self, *others]
        first = tuple(min(part.corner[axis] for part in parts) for axis in range(len(self.corner)))
        last = tuple(max(part.box[1][axis] for part in parts) for axis in range(len(self.corner)))
        pixels = np.zeros([high - low for low, high in zip(first, last, strict=True)], bool)
        for part in parts:
            PlacedMask(tuple(a - b for a, b in zip(part.corner, first, strict=True)), part.pixels).paste(pixels, True)
        return PlacedMask(first, pixels)

    def thinned(self, step: int) -> PlacedMask:
        """The mask in an image of which every ``step``-th pixel along each axis is left, the first one among them."""
        first = tuple(-(-low // step) for low in self.corner)
        places = [slice(new * step - low, None, step) for new, low in zip(first, self.corner, strict=True)]
        return PlacedMask(first, self.pixels[tuple(places)])

    def code(self, size: tuple[int, ...]) -> dict[str, Any]:
        """COCO's compressed run-length code in an image of this size; of a volume, of ``(H, W * D)``."""
        from pycocotools import mask as coco_mask

        whole = np.zeros(size, np.uint8)
        self.paste(whole)
        code = coco_mask.encode(np.asfortranarray(whole.reshape(size[0], -1)))
        return {"size": [int(length) for length in code["size"]], "counts": code["counts"].decode("ascii")}


def instance_map(masks: Sequence[PlacedMask], size: tuple[int, ...]) -> np.ndarray:
    """One map ``size`` of 1 to N, uint16, of masks of which the first is seen where two overlap.

    Raises:
        ValueError: there are more masks than 16 bits can count.
    """
    if len(masks) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(masks)} objects do not fit into a map of 16 bits; raise the score threshold")
    result = np.zeros(size, np.uint16)
    for number in range(len(masks), 0, -1):
        masks[number - 1].paste(result, number)
    return result


def _others(axis: int, dimensions: int) -> tuple[int, ...]:
    return tuple(other for other in range(dimensions) if other != axis)
