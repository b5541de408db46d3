"""A made-up town seen from above: blocks between roads, with houses and halls. `aerial` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monai_seg.data.samples.fields import inside, paint

WIDE = 336  # pixels along each side: beyond the frame of a tile, so that shadows fall into it
ROAD, PAVEMENT = 9.0, 13.0  # half widths in pixels, without and with the pavement

_TILES = ((0.60, 0.33, 0.25), (0.52, 0.29, 0.23), (0.45, 0.34, 0.29), (0.42, 0.43, 0.46))
_SHEETS = ((0.86, 0.87, 0.87), (0.60, 0.63, 0.66), (0.42, 0.42, 0.45), (0.70, 0.66, 0.60), (0.33, 0.33, 0.37))


@dataclass(frozen=True)
class Box:
    """A rectangle along the roads: middle and half sides, in pixels of the town's own axes."""

    along: float
    across: float
    half_along: float
    half_across: float

    def distance(self, town: Town) -> np.ndarray:
        """To its edge, negative inside."""
        out = np.abs(town.along - self.along) - self.half_along, np.abs(town.across - self.across) - self.half_across
        return np.maximum(*out)


@dataclass(frozen=True)
class Town:
    """What stands where. ``along`` and ``across`` are the pixels' coordinates by the direction of the roads."""

    axes: np.ndarray  # the two directions as unit vectors (row, column)
    shadow: np.ndarray  # the direction in which shadows fall
    along: np.ndarray
    across: np.ndarray
    road: np.ndarray  # distance to the nearest middle of a road
    is_yard: np.ndarray
    edge: np.ndarray  # distance to the nearest building, infinite far away
    eaves: np.ndarray  # height of the walls
    roof: np.ndarray  # height above the eaves
    colour: np.ndarray  # of the roofs

    def window(self, box: Box, reach: float) -> tuple[slice, slice]:
        """Pixels about a rectangle, cut at the picture's edge."""
        row, col = WIDE / 2 + np.array([box.along, box.across]) @ self.axes
        reach += np.hypot(box.half_along, box.half_across)
        low, high = (np.clip([row + step, col + step], 0, WIDE).astype(int) for step in (-reach, reach))
        return slice(low[0], high[0]), slice(low[1], high[1])

    def seen_in(self, window: tuple[slice, slice]) -> Town:
        """A part of the town; what is written to it is written to the town."""
        names = ("along", "across", "road", "is_yard", "edge", "eaves", "roof", "colour")
        return replace(self, **{name: getattr(self, name)[window] for name in names})


def build_town(rng: np.random.Generator) -> Town:
    """Blocks between roads, some with rows of houses and gardens, some with large flat roofs and a yard.

    Args:
        rng: source of the randomness.
    """
    angle, sun = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    along, across = np.einsum("ab,bij->aij", axes, np.indices((WIDE, WIDE)) - WIDE / 2)
    length, depth = rng.uniform(150, 230), rng.uniform(100, 140)
    shift = rng.uniform(0, 1, 2) * (length, depth)
    # Middles of the roads are the multiples of a block's length and depth.
    road = np.minimum(_to_multiple(along - shift[0], length), _to_multiple(across - shift[1], depth))
    no_yard, far = np.zeros_like(road, dtype=bool), np.full_like(road, np.inf)
    walls, roofs, colours = np.zeros_like(road), np.zeros_like(road), np.zeros((*road.shape, 3))
    shadow = np.array([np.sin(sun), np.cos(sun)])
    town = Town(axes, shadow, along, across, road, no_yard, far, walls, roofs, colours)
    reach, share_of_halls, share_of_gardens = WIDE / np.sqrt(2), rng.uniform(0.0, 1.0), rng.uniform(0.0, 0.2)
    for left in np.arange(shift[0] - 2 * length, reach, length):
        for top in np.arange(shift[1] - 3 * depth, reach, depth):
            block = Box(left + length / 2, top + depth / 2, length / 2 - PAVEMENT, depth / 2 - PAVEMENT)
            if (block.distance(town) < 0).any():
                if rng.random() < share_of_halls:
                    _build_halls(rng, town, block)
                else:
                    _build_houses(rng, town, block, share_of_gardens)
    return town


def _to_multiple(position: np.ndarray, period: float) -> np.ndarray:
    return np.abs((position + period / 2) % period - period / 2)


def _build_houses(rng: np.random.Generator, town: Town, block: Box, share_of_gardens: float) -> None:
    """Two rows of pitched roofs, each facing its road; every third house has a wing towards the garden."""
    for side in (-1, 1):
        position = block.along - block.half_along + rng.uniform(3, 10)
        setback = rng.uniform(2, 7)
        while True:
            half_along, half_across = rng.uniform(13, 22), rng.uniform(10, 14)
            middle = position + half_along
            if middle + half_along > block.along + block.half_along:
                break
            position = middle + half_along + rng.uniform(4, 11)
            if rng.random() < share_of_gardens:
                continue
            across = block.across + side * (block.half_across - setback - half_across)
            boxes = [Box(middle, across, half_along, half_across)]
            if rng.random() < 0.35:
                end = rng.choice([-1, 1]) * (half_along - 8)
                boxes.append(Box(middle + end, across - side * (half_across + 3), 8, 9))
            _raise(rng, town, boxes, wall=rng.uniform(5, 9), is_pitched=True)


def _build_halls(rng: np.random.Generator, town: Town, block: Box) -> None:
    """One or two large flat roofs, L-shaped or not, in a paved yard."""
    town.is_yard[block.distance(town) < 4] = True
    halves = rng.choice([1, 2]) if block.half_along > 65 else 1
    width = block.half_along / halves
    for number in range(halves):
        left = block.along - block.half_along + 2 * number * width
        half_along, half_across = width - rng.uniform(5, 12), block.half_across - rng.uniform(4, 12)
        middle = left + width
        if rng.random() < 0.6:
            bar = half_across * rng.uniform(0.4, 0.62)
            side, end, wing = *rng.choice([-1, 1], 2), half_along * rng.uniform(0.25, 0.4)
            boxes = [Box(middle, block.across + side * (half_across - bar), half_along, bar)]
            boxes.append(Box(middle + end * (half_along - wing), block.across, wing, half_across))
        else:
            boxes = [Box(middle, block.across, half_along, half_across * rng.uniform(0.6, 1.0))]
        _raise(rng, town, boxes, wall=rng.uniform(9, 24), is_pitched=False)


def _raise(rng: np.random.Generator, town: Town, boxes: list[Box], wall: float, is_pitched: bool) -> None:
    """Add a building: walls, roof, its colour and what stands on it."""
    part = town.seen_in(town.window(boxes[0], reach=30))
    distances = [box.distance(part) for box in boxes]
    edge = np.minimum.reduce(distances)
    near = edge < 2
    part.edge[:] = np.minimum(part.edge, edge)
    part.eaves[edge < 0] = wall
    palette = _TILES if is_pitched else _SHEETS
    part.colour[near] = np.array(palette[rng.integers(len(palette))]) + rng.normal(0, 0.03) + rng.normal(0, 0.01, 3)
    if is_pitched:
        # Where wings meet, the higher roof covers the other one: that draws the valleys.
        roof = np.maximum.reduce([_gable(box, gap, part) for box, gap in zip(boxes, distances, strict=True)])
        part.roof[near] = roof[near]
        part.colour[near] += 0.02 * np.sin(2 * np.pi * roof / 2.6)[near][:, None]
    else:
        seams = np.minimum(_to_multiple(part.along, rng.uniform(9, 16)), _to_multiple(part.across, 40.0))
        paint(part.colour, part.colour * 0.9, (near * inside(seams - 0.4, 0.5))[..., None])
        paint(part.colour, (0.80, 0.79, 0.77), 0.7 * np.exp(-(((edge + 2.0) / 0.9) ** 2))[..., None])
    for _ in range(1 if is_pitched else rng.integers(3, 9)):
        box = boxes[rng.integers(len(boxes))]
        room = np.maximum(np.array([box.half_along, box.half_across]) - 8, 1)
        place, half = np.array([box.along, box.across]) + rng.uniform(-room, room), rng.uniform(1.2, 3.0, 2)
        draw_box(town.colour, town, Box(*(place + 2 * town.axes @ town.shadow), *half), (0.16, 0.16, 0.2))
        draw_box(town.colour, town, Box(*place, *half), np.full(3, rng.uniform(0.35, 0.9)))


def _gable(box: Box, distance: np.ndarray, town: Town) -> np.ndarray:
    """Height of a roof whose ridge runs along the longer side, with ends that slope steeply."""
    if box.half_along >= box.half_across:
        return np.minimum(box.half_across - np.abs(town.across - box.across), -2.5 * distance)
    return np.minimum(box.half_along - np.abs(town.along - box.along), -2.5 * distance)


def draw_box(canvas: np.ndarray, town: Town, box: Box, colour: Sequence[float] | np.ndarray) -> None:
    """Paint a rectangle that stands by the roads.

    Args:
        canvas: picture of the whole town, ``(WIDE, WIDE, 3)``, changed in place.
        town: gives the directions.
        box: the rectangle.
        colour: red, green and blue.
    """
    window = town.window(box, reach=3)
    paint(canvas[window], colour, inside(box.distance(town.seen_in(window)), 0.6)[..., None])
