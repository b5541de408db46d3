"""Exact distances to surface elements that are far away: only bricks that may hold the nearest one are looked at.

Bricks are grouped into boxes of 4 x 4 (x 4), these into larger ones, up to one box for a whole surface. Each box names
one of its elements. A pair of an asking and a target box is pursued only while its least possible distance does not
exceed the distance of the asking box to the best of the named elements (dual-tree search, after Gray and Moore 2000),
level by level for all boxes at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from monai_seg.metrics.surface.grid import Grid

# Elements that look for candidate bricks together, and pairs of elements and candidates that are measured together.
# Mostly an element has some ten candidates; one in the middle of a hollow surface has nearly all of its bricks.
_TOGETHER = {"cpu": 1 << 14, "other": 1 << 18}
_PAIRS = {"cpu": 1 << 17, "other": 1 << 22}
# Sums of squares are rounded; nothing may be discarded for that.
_SLACK = 1 + 1e-12


@dataclass(frozen=True)
class _Level:
    """The boxes of one size: index along each axis ``(d, n)`` in units of this size, and their children, ``(n,)``."""

    cells: torch.Tensor
    first_child: torch.Tensor
    children: torch.Tensor


class _Tree:
    """Boxes around bricks, sorted so that those of a larger box follow each other.

    Args:
        owner: of each brick: which surface it is of.
        cells: index of each brick along each axis, ``(d, n)``.
        depth: number of groupings until one box holds all.
    """

    def __init__(self, owner: torch.Tensor, cells: torch.Tensor, depth: int) -> None:
        dims = cells.shape[0]
        key = owner.clone()
        for level in range(depth, -1, -1):
            for axis in range(dims):
                # Along an axis, two bits of the index for each level.
                key.mul_(4).add_((cells[axis] >> (2 * level)) & 3)
        self.order = key.argsort()
        key, cells = key[self.order], cells[:, self.order]
        nothing = torch.empty(0, dtype=torch.int64, device=key.device)
        self.levels = [_Level(cells, nothing, nothing)]
        for _ in range(depth + 1):
            key, children = torch.unique_consecutive(key >> (2 * dims), return_counts=True)
            first = children.cumsum(0) - children
            cells = cells[:, first] >> 2
            self.levels.append(_Level(cells, first, children))
        self.owners = key


class FarSearch:
    """Looks for the elements of a grid from afar.

    Args:
        grid: with the elements of both sides.
        spacing: of places, in mm.
    """

    def __init__(self, grid: Grid, spacing: tuple[float, ...]) -> None:
        self.grid, self.spacing, self.brick_sides = grid, spacing, grid.layout.log2_sides

    def distances(self, address: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Distance of some elements to the nearest one of the other side.

        Args:
            address: of the asking elements, see `Grid`.
            known: a distance at which there is an element, or infinity.

        Shape:
            both ``(K,)``. Gives ``(K,)``, float64, in mm; infinity where the other side has no element.
        """
        grid = self.grid
        distance = known.clone()
        # Elements of one brick share their candidates, so that they belong into one lot.
        order = (address >> 6).argsort()
        for some in order.split(_TOGETHER["cpu" if address.device.type == "cpu" else "other"]):
            word, which = torch.unique_consecutive((address[some] >> 6) - grid.margin, return_inverse=True)
            # What is looked for is of the other side.
            wanted = torch.div(word, grid.size, rounding_mode="floor") ^ 1
            askers = _Tree(wanted, _cells(grid, word % grid.size), self._depth)
            asker, target = self._candidates(askers)
            brick = torch.empty_like(askers.order)
            brick[askers.order] = torch.arange(brick.shape[0], device=brick.device)
            count = torch.bincount(asker, minlength=brick.shape[0])
            first = count.cumsum(0) - count
            brick = brick[which]
            for part in _lots(count[brick]):
                each = some[part]
                own = brick[part]
                element, number = _expand(count[own])
                chosen = target[first[own][element] + number]
                distance[each] = self._measure(_places(grid, address[each]), distance[each], element, chosen)
        return distance

    @cached_property
    def _depth(self) -> int:
        return max(max(self.grid.sides) - 1, 1).bit_length() // 2

    @cached_property
    def _words(self) -> torch.Tensor:
        """The bitmap without its margins."""
        return self.grid.words[self.grid.margin : self.grid.words.shape[0] - self.grid.margin]

    @cached_property
    def _targets(self) -> _Tree:
        """The bricks that hold an element."""
        bricks = self._words.nonzero().squeeze(1)
        owner = torch.div(bricks, self.grid.size, rounding_mode="floor")
        return _Tree(owner, _cells(self.grid, bricks % self.grid.size), self._depth)

    @cached_property
    def _elements(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The places in these bricks, brick after brick, ``(d, n)``; the first of each brick and their number."""
        bricks = self._words.nonzero().squeeze(1).index_select(0, self._targets.order)
        octets = self._words.index_select(0, bricks).view(torch.uint8)[:, None]
        bits = (octets >> torch.arange(8, dtype=torch.uint8, device=octets.device)).bitwise_and_(1).view(-1, 64)
        brick, bit = bits.nonzero().unbind(1)
        count = torch.bincount(brick, minlength=bits.shape[0])
        cells = self._targets.levels[0].cells.index_select(1, brick)
        return _within_brick(self.brick_sides, cells, bit), count.cumsum(0) - count, count

    @cached_property
    def _named(self) -> list[torch.Tensor]:
        """The place of one element of each box, ``(d, n)``, by level."""
        places, first, count = self._elements
        named = [places.index_select(1, first + count // 2)]
        for level in self._targets.levels[1:]:
            named.append(named[-1].index_select(1, level.first_child + level.children // 2))
        return named

    def _candidates(self, askers: _Tree) -> tuple[torch.Tensor, torch.Tensor]:
        """Asking and target bricks that may hold a nearest pair: ``(P,)`` each, ascending by asker."""
        targets = self._targets
        at = torch.searchsorted(targets.owners, askers.owners).clamp_(max=targets.owners.shape[0] - 1)
        asker = (targets.owners[at] == askers.owners).nonzero().squeeze(1)
        target = at[asker]
        for level in range(len(askers.levels) - 1, 0, -1):
            upper_a, upper_t = askers.levels[level], targets.levels[level]
            children_t = upper_t.children.index_select(0, target)
            pair, number = _expand(upper_a.children.index_select(0, asker) * children_t)
            per_asker = children_t.index_select(0, pair)
            child = torch.div(number, per_asker, rounding_mode="floor")
            number -= child * per_asker
            asker = upper_a.first_child.index_select(0, asker).index_select(0, pair).add_(child)
            target = upper_t.first_child.index_select(0, target).index_select(0, pair).add_(number)
            sides = [log2 + 2 * (level - 1) for log2 in self.brick_sides]
            first = [cells << log2 for cells, log2 in zip(askers.levels[level - 1].cells, sides, strict=True)]
            least, most = self._bounds(asker, target, first, sides, level - 1)
            bound = torch.full(first[0].shape, torch.inf, dtype=torch.float64, device=asker.device)
            bound = bound.scatter_reduce_(0, asker, most, "amin").mul_(_SLACK)
            kept = (least <= bound.index_select(0, asker)).nonzero().squeeze(1)
            asker, target = asker.index_select(0, kept), target.index_select(0, kept)
        order = asker.argsort()
        return asker[order], target[order]

    def _bounds(
        self,
        asker: torch.Tensor,
        target: torch.Tensor,
        first: Sequence[torch.Tensor],
        log2_sides: Sequence[int],
        level: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Squares of the least distance of askers to boxes, and of the largest to their named elements: ``(P,)`` each.

        Args:
            asker, target: the pairs, ``(P,)`` each.
            first: lowest place of each asker along each axis, ``(n,)`` each.
            log2_sides: places along each side of an asker, as a power of two.
            level: of the target boxes.
        """
        cells, named = self._targets.levels[level].cells, self._named[level]
        least = torch.zeros(asker.shape, dtype=torch.float64, device=asker.device)
        most = torch.zeros_like(least)
        for axis, (size, log2) in enumerate(zip(self.spacing, log2_sides, strict=True)):
            extent, target_log2 = (1 << log2) - 1, self.brick_sides[axis] + 2 * level
            start = first[axis].index_select(0, asker)
            behind = start - (cells[axis].index_select(0, target) << target_log2)
            gap = torch.maximum(-extent - behind, behind.sub_((1 << target_log2) - 1)).clamp_(min=0)
            least += (gap.double() * size).square_()
            start -= named[axis].index_select(0, target)
            most += (torch.maximum(start.abs(), (start + extent).abs_()).double() * size).square_()
        return least, most

    def _measure(
        self, places: torch.Tensor, known: torch.Tensor, element: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Distance of places ``(d, K)`` to the nearest element in their candidate bricks, given as pairs ``(P,)``."""
        least, most = self._bounds(element, target, list(places), [0] * len(places), 0)
        bound = (known * known).scatter_reduce_(0, element, most, "amin").mul_(_SLACK)
        kept = (least <= bound.index_select(0, element)).nonzero().squeeze(1)
        element, target = element.index_select(0, kept), target.index_select(0, kept)
        elements, first, count = self._elements
        pair, number = _expand(count.index_select(0, target))
        element = element.index_select(0, pair)
        target = first.index_select(0, target).index_select(0, pair).add_(number)
        square = torch.zeros(element.shape, dtype=torch.float64, device=known.device)
        for axis, size in enumerate(self.spacing):
            steps = places[axis].index_select(0, element).sub_(elements[axis].index_select(0, target))
            square += (steps.double() * size).square_()
        nearest = torch.full_like(known, torch.inf).scatter_reduce_(0, element, square, "amin")
        return torch.minimum(known, _root(nearest))


def _root(square: torch.Tensor) -> torch.Tensor:
    """The square root, rounded to nearest: on a CPU that of PyTorch is off by the last digit in one case of a hundred.

    The root is corrected by the remainder, which is exact as the root is split into halves (Dekker 1971).
    """
    root = square.sqrt()
    scaled = root * (2.0**27 + 1)
    high = scaled - (scaled - root)
    low = root - high
    remainder = ((square - high * high) - 2 * high * low) - low * low
    return torch.where((root > 0) & root.isfinite(), root + remainder / (2 * root), root)


def _lots(counts: torch.Tensor) -> Iterator[slice]:
    """Cut elements with so many candidates each into runs that have few enough together."""
    most = _PAIRS["cpu" if counts.device.type == "cpu" else "other"]
    start = 0
    for length in torch.unique_consecutive(counts.cumsum(0) // most, return_counts=True)[1].tolist():
        yield slice(start, start + length)
        start += length


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For ``counts`` of 2, 0, 3: the indices 0 0 2 2 2, and 0 1 0 1 2."""
    index = torch.arange(counts.shape[0], device=counts.device).repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    return index, torch.arange(index.shape[0], device=counts.device).sub_(start.index_select(0, index))


def _cells(grid: Grid, brick: torch.Tensor) -> torch.Tensor:
    """Index along each axis of bricks, from their number within a bitmap: ``(d, n)``."""
    axes = zip(grid.sides, grid.strides, strict=True)
    return torch.stack([torch.div(brick, stride, rounding_mode="floor") % side for side, stride in axes])


def _places(grid: Grid, address: torch.Tensor) -> torch.Tensor:
    """Index along each axis of places, from their address: ``(d, n)``."""
    cells = _cells(grid, ((address >> 6) - grid.margin) % grid.size)
    return _within_brick(grid.layout.log2_sides, cells, address & 63)


def _within_brick(log2_sides: tuple[int, ...], cells: torch.Tensor, bit: torch.Tensor) -> torch.Tensor:
    """Index along each axis of places, from their bricks ``(d, n)`` and bits: ``(d, n)``."""
    places, shift = [], 6
    for along, log2 in zip(cells, log2_sides, strict=True):
        shift -= log2
        places.append((along << log2) + ((bit >> shift) & ((1 << log2) - 1)))
    return torch.stack(places)
