"""Which surface elements lie within a distance of a place, as bit masks over small boxes of places, the bricks.

A brick holds 64 places, one bit of a word for each. "Is anything within the tolerance?" then takes one look-up and one
``and`` for each brick nearby: is any bit set that the mask for this position, this neighbour and this tolerance allows?
The masks are made on the host, with the arithmetic of the reference implementation in float64; the device only handles
whole numbers, so that all devices agree to the bit, ties included.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

# So many neighbours are asked at most (9 x 9 x 9 bricks). Distances are measured where a tolerance reaches farther.
MOST_NEIGHBOURS = 729
BRICK_PLACES = 64


@dataclass(frozen=True, eq=False)
class Bricks:
    """How places are packed into words of 64 bits, and which neighbouring words matter to each position in a brick.

    Attributes:
        log2_sides: places along each side of a brick, as a power of two; they sum to 6.
        halo: bricks along each axis to which a neighbour may lie.
        offsets: to the neighbours in bricks, in the order in which a position asks them: ``(J, 64, d)``.
    """

    log2_sides: tuple[int, ...]
    halo: tuple[int, ...]
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)  # so that a cache can go by identity
class ToleranceMasks(Bricks):
    """Bits within each tolerance, ``(T, J, 64)`` int64: by tolerance, neighbour, position of the asking place."""

    masks: torch.Tensor


def tolerance_masks(
    spacing: tuple[float, ...], tolerances: tuple[float, ...], extent: tuple[int, ...], single: bool = False
) -> ToleranceMasks | None:
    """Masks for a spacing and some tolerances; the neighbours that allow most bits come first.

    Args:
        spacing: of places, along each axis, in mm.
        tolerances: in mm.
        extent: largest difference of two indices along each axis; nothing farther is looked for.
        single: compare in float32, as MONAI does.

    Returns:
        None where a tolerance reaches over so many bricks that looking them all up does not pay.
    """
    reach = _reach(spacing, max(tolerances), extent)
    log2_sides = brick_sides(reach)
    halo = tuple(-(-steps // (1 << log2)) for steps, log2 in zip(reach, log2_sides, strict=True))
    if math.prod(2 * bricks + 1 for bricks in halo) > MOST_NEIGHBOURS:
        return None
    return _tolerance_masks(spacing, tolerances, log2_sides, halo, single)


# Images of all sizes share the masks unless a tolerance reaches across them.
@functools.lru_cache(maxsize=64)
def _tolerance_masks(
    spacing: tuple[float, ...],
    tolerances: tuple[float, ...],
    log2_sides: tuple[int, ...],
    halo: tuple[int, ...],
    single: bool,
) -> ToleranceMasks:
    offsets, masks, allowed = neighbours(halo), [], []
    for offset in offsets:
        distance = place_distances(offset, log2_sides, spacing)
        within = np.stack([is_within(distance, tolerance, single) for tolerance in tolerances])
        masks.append(np.packbits(within, axis=-1, bitorder="little").view(np.uint64)[..., 0])
        allowed.append(within.sum(axis=-1).max(axis=0))
    order = np.argsort(-np.stack(allowed), axis=0, kind="stable")
    order = order[: max(1, int((np.stack(allowed) > 0).sum(axis=0).max()))]
    table = np.take_along_axis(np.stack(masks, axis=1), np.broadcast_to(order, (len(tolerances), *order.shape)), axis=1)
    return ToleranceMasks(log2_sides, halo, offsets[order], torch.from_numpy(table.view(np.int64)))


@functools.lru_cache(maxsize=256)
def brick_sides(reach: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of brick, as powers of two, of which a box that reaches so far touches the fewest."""
    shapes = (sides for sides in itertools.product(range(7), repeat=len(reach)) if sum(sides) == 6)

    def touched(log2_sides: tuple[int, ...]) -> float:
        return math.prod(1 + 2 * steps / (1 << log2) for steps, log2 in zip(reach, log2_sides, strict=True))

    return min(shapes, key=lambda log2_sides: (touched(log2_sides), max(log2_sides)))


def neighbours(halo: tuple[int, ...]) -> np.ndarray:
    """Offsets in bricks up to the halo along each axis: ``(J, d)``."""
    return np.array(list(itertools.product(*(range(-bricks, bricks + 1) for bricks in halo))))


def place_distances(offset: np.ndarray, log2_sides: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    """Distances in mm from each place of a brick to each place of the brick at an offset: ``(64, 64)``."""
    sides = [1 << log2 for log2 in log2_sides]
    places = np.array(list(itertools.product(*(range(side) for side in sides))))
    steps = offset * sides + places[None] - places[:, None]
    return distances(np.moveaxis(steps, -1, 0), spacing)


def distances(steps: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Euclidean length of differences of indices ``(d, ...)``, in mm, rounded as ``scipy.ndimage`` rounds it."""
    return np.sqrt(sum((axis.astype(np.float64) * size) ** 2 for axis, size in zip(steps, spacing, strict=True)))


def is_within(distance: np.ndarray, tolerance: float, single: bool) -> np.ndarray:
    """Whether distances are at most the tolerance, in float64 or as MONAI in float32."""
    return distance.astype(np.float32) <= np.float32(tolerance) if single else distance <= tolerance


def _reach(spacing: tuple[float, ...], tolerance: float, extent: tuple[int, ...]) -> tuple[int, ...]:
    """Steps along each axis that may lie within the tolerance; a little more, as the last digit decides elsewhere."""
    return tuple(
        most if tolerance / size > most else min(most, math.floor(tolerance / size * (1 + 1e-6) + 1e-6))
        for size, most in zip(spacing, extent, strict=True)
    )
