"""Objects that overlapping tiles of an image have found, put together so that each is there once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from monai_seg.inference.placed_masks import Box, PlacedMask

Span = tuple[tuple[float, ...], tuple[float, ...]]  # as a Box, with edges between pixels
CutObjects = Literal["join", "largest"]
_BORDER = 2.0  # pixels within which an object touches the border of a tile: masks of a network may end before it


@dataclass(frozen=True, eq=False)
class TileObject:
    """An object as one tile saw it, in the coordinates of the image.

    Args:
        box: first edge along each axis, then the last ones.
        label, score: of the object.
        mask: its pixels; None where the network gives boxes alone.
        tile: first pixel of the tile along each axis, and the one behind the last.
    """

    box: np.ndarray
    label: int
    score: float
    mask: PlacedMask | None
    tile: Box

    @cached_property
    def extent(self) -> Span:
        """Box of the mask, or the box where there is none."""
        if self.mask is not None and self.mask.area:
            return self.mask.box
        dims = len(self.box) // 2
        return tuple(self.box[:dims].tolist()), tuple(self.box[dims:].tolist())

    @property
    def size(self) -> float:
        """Pixels of the mask, or of the box where there is none."""
        return _pixels(self.extent) if self.mask is None else self.mask.area

    def cut_by(self, other: Box) -> bool:
        """Whether it touches a border of its tile beyond which ``other`` goes on: another tile, or the image."""
        before = zip(self.extent[0], self.tile[0], other[0], strict=True)
        behind = zip(self.extent[1], self.tile[1], other[1], strict=True)
        return any(beyond < border and edge <= border + _BORDER for edge, border, beyond in before) or any(
            beyond > border and edge >= border - _BORDER for edge, border, beyond in behind
        )

    def pixels_in(self, region: Span) -> float:
        """How many of its pixels lie in a region."""
        if self.mask is None:
            return _pixels(_shared(self.extent, region))
        return float(self.mask.within(_whole_pixels(region)).sum())


def merge_objects(
    objects: Sequence[TileObject],
    tiles: Sequence[Box],
    size: tuple[int, ...],
    merge_iou: float = 0.5,
    cut_objects: CutObjects = "join",
) -> list[TileObject]:
    """Keep each object once.

    1. What a tile cuts is left to another tile that shows all of it and what lies around it, if there is one.
    2. Of objects that several tiles show whole, the best one stays as it is.
    3. Objects that no tile shows whole are joined from their parts; their score is that of the best part.

    Two objects of one class in two tiles are the same if they agree *where both tiles look*: their overlap (IoU) there
    is at least ``merge_iou``, or one of them is cut by a border beyond which the other tile goes on, and at least that
    share of its pixels there lies in the other one. What one tile tells apart stays apart.

    Args:
        objects: of all tiles.
        tiles: all of them, also those without objects.
        size: of the image.
        merge_iou: overlap from which two objects are the same.
        cut_objects: ``"largest"`` keeps the largest part of an object that no tile shows whole, instead of joining.

    Returns:
        The objects, the best score first.
    """
    whole_image: Box = ((0,) * len(size), size)
    beside = _tiles_beside(tiles)
    kept, parts = _ByTile(beside), _ByTile(beside)
    cut: list[TileObject] = []
    for each in sorted(objects, key=lambda each: -each.score):
        if each.cut_by(whole_image):
            cut.append(each)
        elif not any(_same(each, other, merge_iou) for other in kept.near(each)):
            kept.add(each)
    for each in cut:
        shown = any(_shows(tile, each, whole_image) for tile in beside[each.tile])
        if not shown and not any(_same(each, other, merge_iou) for other in kept.near(each)):
            parts.add(each)
    merged = [_merged(group, cut_objects) for group in _groups(parts, merge_iou)]
    return sorted([*kept.objects, *merged], key=lambda each: -each.score)


def _tiles_beside(tiles: Sequence[Box]) -> dict[Box, list[Box]]:
    """The other tiles that share pixels with each tile."""
    edges = np.array(tiles)  # (T, 2, dims)
    beside = {}
    for index, tile in enumerate(tiles):
        meets = ((edges[:, 0] < edges[index, 1]) & (edges[index, 0] < edges[:, 1])).all(axis=1)
        beside[tile] = [tiles[other] for other in np.flatnonzero(meets).tolist() if other != index]
    return beside


def _shows(tile: Box, each: TileObject, whole_image: Box) -> bool:
    """Whether a tile holds all that another one saw of an object, away from its own borders."""
    inside = _shared(tile, each.extent) == each.extent
    return inside and not replace(each, tile=tile).cut_by(whole_image)


class _ByTile:
    """Objects by their tile, so that only those are compared whose tiles overlap.

    Args:
        beside: see `_tiles_beside`.
    """

    def __init__(self, beside: Mapping[Box, list[Box]]) -> None:
        self._beside = beside
        self._of_tile: dict[Box, list[TileObject]] = {tile: [] for tile in beside}
        self.objects: list[TileObject] = []

    def add(self, each: TileObject) -> None:
        self._of_tile[each.tile].append(each)
        self.objects.append(each)

    def near(self, each: TileObject) -> Iterator[TileObject]:
        """Objects of its class in other tiles, whose boxes meet its own."""
        for tile in self._beside[each.tile]:
            for other in self._of_tile[tile]:
                if other.label == each.label and _pixels(_shared(each.extent, other.extent)):
                    yield other


def _same(one: TileObject, other: TileObject, merge_iou: float) -> bool:
    """Whether two tiles have seen the same object, by what both have looked at."""
    looked = _shared(one.tile, other.tile)
    area, other_area = one.pixels_in(looked), other.pixels_in(looked)
    place = _shared(_shared(one.extent, other.extent), looked)
    if not area or not other_area or not _pixels(place):
        return False
    if one.mask is None or other.mask is None:
        common = _pixels(place)
    else:
        pixels = _whole_pixels(place)
        common = float((one.mask.within(pixels) & other.mask.within(pixels)).sum())
    return (
        common >= merge_iou * (area + other_area - common)
        or (common >= merge_iou * area and one.cut_by(other.tile))
        or (common >= merge_iou * other_area and other.cut_by(one.tile))
    )


def _shared(first: Span, second: Span) -> Span:
    return tuple(map(max, first[0], second[0])), tuple(map(min, first[1], second[1]))


def _pixels(span: Span) -> float:
    return math.prod(max(0.0, high - low) for low, high in zip(*span, strict=True))


def _whole_pixels(span: Span) -> Box:
    return tuple(math.floor(low) for low in span[0]), tuple(math.ceil(high) for high in span[1])


def _groups(parts: _ByTile, merge_iou: float) -> list[list[TileObject]]:
    """Parts of the same object, found through any chain of parts."""
    groups: dict[int, list[TileObject]] = {}
    group_of: dict[int, int] = {}
    for number, each in enumerate(parts.objects):
        groups[number], group_of[id(each)] = [each], number
        for other in parts.near(each):
            first, second = group_of[id(each)], group_of.get(id(other), -1)
            if second not in (-1, first) and _same(each, other, merge_iou):
                for moved in groups[second]:
                    group_of[id(moved)] = first
                groups[first] += groups.pop(second)
    return list(groups.values())


def _merged(group: Sequence[TileObject], cut_objects: CutObjects) -> TileObject:
    if len(group) == 1:
        return group[0]
    if cut_objects == "largest":
        return max(group, key=lambda each: each.size)
    best = max(group, key=lambda each: each.score)
    boxes = np.stack([each.box.reshape(2, -1) for each in group])
    box = np.concatenate([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
    masks = [each.mask for each in group if each.mask is not None]
    return replace(best, box=box, mask=masks[0].united(masks[1:]) if masks else None)
