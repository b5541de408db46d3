"""The exact distance from each surface element to the nearest one of the other mask.

Nearly all lie within a few voxels. They are found by looking into the neighbouring bricks in the order of their least
possible distance, until no brick can hold anything nearer; the nearest bit of a word comes from six bisections of its
places in the order of their distance. What lies farther away is left to `monai_seg.metrics.surface.far`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from monai_seg.metrics.surface.bricks import BRICK_PLACES, Bricks, brick_sides, neighbours, place_distances
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.far import FarSearch
from monai_seg.metrics.surface.grid import Grid, shares

# Bricks along each axis, on either side, that are looked into one by one.
_HALO = {2: 2, 3: 1}


def nearest_distances(
    elements: SurfaceElements, maps: list[int], spacing: tuple[float, ...]
) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]:
    """Distances in mm, in float64 and with the rounding of the reference implementation.

    Args:
        elements: of both sides.
        maps: which of the maps, all of one spacing.
        spacing: of these maps, in mm.

    Returns:
        For some elements at a time their surface, ``(map * classes + class) * 2 + side`` (side 0 is the prediction),
        code (None for border voxels) and distance, each ``(K,)``; infinity where the other side has no element.
    """
    order = nearest_order(spacing)
    tables = [table.to(elements.device) for table in (order.lower, order.nodes, order.distances, order.covered)]
    for share in shares(elements, maps, order):
        grid = Grid(elements, order, share)
        for piece in elements:
            grid.add(grid.locate(piece).address)
        far = FarSearch(grid, spacing)
        surfaces = share.surfaces(elements.masks.classes).to(elements.device)
        for piece in elements:
            located = grid.locate(piece)
            owner = grid.owner(located.address)
            distance = _near(grid, located.address, owner & 1, *tables[:3])
            left = (distance >= tables[3].index_select(0, located.address & 63)).nonzero().squeeze(1)
            if left.numel():
                distance[left] = far.distances(located.address[left], distance[left])
            yield surfaces.index_select(0, owner), located.code, distance


@dataclass(frozen=True)
class NearestOrder(Bricks):
    """The order in which a position in a brick asks the neighbouring bricks, and their places.

    Attributes:
        lower: least distance to any place of a neighbour, ``(J, 64)``, ascending for each position; float64.
        nodes: a binary tree over the places of a neighbour in the order of their distance, ``(J * 64 * 64,)``: node
            ``n`` holds the bits of the nearer half of its places, ``2 n`` the tree of these, ``2 n + 1`` of the rest.
        distances: of these places in that order, ``(J * 64 * 64,)``, float64.
        covered: from which distance on a place may lie beyond all these neighbours, ``(64,)``, float64.
    """

    lower: torch.Tensor
    nodes: torch.Tensor
    distances: torch.Tensor
    covered: torch.Tensor


@functools.lru_cache(maxsize=32)
def nearest_order(spacing: tuple[float, ...]) -> NearestOrder:
    """The order for a spacing, with bricks about as long in mm along all axes."""
    dims = len(spacing)
    edge = (BRICK_PLACES * math.prod(spacing)) ** (1 / dims)
    log2_sides = brick_sides(tuple(math.ceil(edge / size) for size in spacing))
    halo = (_HALO[dims],) * dims
    offsets = neighbours(halo)
    distance = np.stack([place_distances(offset, log2_sides, spacing) for offset in offsets])  # neighbour, asker, bit
    order = np.argsort(distance.min(axis=-1), axis=0, kind="stable")
    distance = np.take_along_axis(distance, order[..., None], axis=0)
    ranked = np.argsort(distance, axis=-1, kind="stable")
    sums = np.zeros((*order.shape, BRICK_PLACES + 1), dtype=np.uint64)
    sums[..., 1:] = np.cumsum(np.uint64(1) << ranked.astype(np.uint64), axis=-1, dtype=np.uint64)
    nodes = np.zeros((*order.shape, BRICK_PLACES), dtype=np.uint64)
    for depth in range(6):
        width = BRICK_PLACES >> depth
        for index in range(1 << depth):
            start = index * width
            nodes[..., (1 << depth) + index] = sums[..., start + width // 2] - sums[..., start]
    distance = np.take_along_axis(distance, ranked, axis=-1)
    sides = np.array([1 << log2 for log2 in log2_sides])
    place = np.stack(np.unravel_index(np.arange(BRICK_PLACES), tuple(sides)), axis=-1)
    covered = ((np.minimum(place + 1, sides - place) + np.array(halo) * sides) * np.array(spacing)).min(axis=-1)
    return NearestOrder(
        log2_sides,
        halo,
        offsets[order],
        lower=torch.from_numpy(distance[..., 0].copy()),
        nodes=torch.from_numpy(nodes.view(np.int64).reshape(-1)),
        distances=torch.from_numpy(distance.reshape(-1)),
        covered=torch.from_numpy(covered),
    )


def _near(
    grid: Grid,
    address: torch.Tensor,
    side: torch.Tensor,
    lower: torch.Tensor,
    nodes: torch.Tensor,
    distances: torch.Tensor,
) -> torch.Tensor:
    """Least distance within the neighbouring bricks: ``(K,)``, float64; infinity where they are empty."""
    word = (address >> 6).add_(grid.size).sub_(side, alpha=2 * grid.size)
    position = address & 63
    best = torch.full(address.shape, torch.inf, dtype=torch.float64, device=address.device)
    asking = None  # all
    for index in range(lower.shape[0]):
        if index:
            nearer = lower[index].index_select(0, position) < (best if asking is None else best.index_select(0, asking))
            still = nearer.nonzero().squeeze(1)
            if not still.numel():
                break
            asking = still if asking is None else asking.index_select(0, still)
            word, position = word.index_select(0, still), position.index_select(0, still)
        bits = grid.words.index_select(0, grid.offsets[index].index_select(0, position).add_(word))
        filled = bits.nonzero().squeeze(1)
        if not filled.numel():
            continue
        bits = bits.index_select(0, filled)
        tree = position.index_select(0, filled).add_(index * BRICK_PLACES).mul_(BRICK_PLACES)
        node = torch.ones_like(tree)
        for _ in range(6):
            none_nearer = (nodes.index_select(0, tree + node) & bits) == 0
            node.mul_(2).add_(none_nearer)
        found = distances.index_select(0, tree.add_(node).sub_(BRICK_PLACES))
        which = filled if asking is None else asking.index_select(0, filled)
        best[which] = torch.minimum(best.index_select(0, which), found)
    return best
