"""Connected components of label maps, on their device: runs of voxels joined by hooking and pointer jumping.

A row of a map is cut into runs of equal label. Runs of neighbouring rows that touch are edges of a graph, whose
components are found in a number of rounds that grows with the logarithm of the number of runs, however the shapes
wind. Everything is whole numbers, and a component's root is its first run, so the result is the same on all devices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

# Voxels of a block, within which a byte can count the runs.
BLOCK_BITS = 7
BLOCK = 2**BLOCK_BITS
# Runs that are looked at together: few enough that what is found on the way stays in a processor's cache.
CHUNK = 2**18


@dataclass(frozen=True)
class Runs:
    """Longest stretches of one label other than 0 along the last axis, in row-major order.

    They lie in the flattened maps with a layer of background behind each axis, so that a step to a neighbour is a
    step of one length everywhere, and one out of the map meets background.

    Attributes:
        first, last: where each begins and ends, ``(R,)``, int64.
        label: label of each, in the dtype of the maps.
        shape: shape of the maps without those layers.
        inside: which voxels lie in a run, flat.
        counted: how many runs begin in the voxel's block up to the voxel, flat, uint8.
        before: how many runs begin before each block.
    """

    first: torch.Tensor
    last: torch.Tensor
    label: torch.Tensor
    shape: torch.Size
    inside: torch.Tensor
    counted: torch.Tensor
    before: torch.Tensor

    @property
    def map_size(self) -> int:
        """Voxels of one map with its layers of background."""
        return math.prod(size + 1 for size in self.shape[1:])


def connected_components(labels: torch.Tensor, connectivity: int | None = None) -> torch.Tensor:
    """Number the connected components of label maps: voxels of equal label that touch, directly or through others.

    Args:
        labels: whole numbers; 0 is background.
        connectivity: along how many axes at once two touching voxels may differ: 1 is faces only, the number of axes
            (default) corners too.

    Shape:
        labels ``(N, W)``, ``(N, H, W)`` or ``(N, H, W, D)``, N maps. Gives the same shape.

    Returns:
        Numbers in int32: 0 for background, 1 and on for components, counted through the whole batch in the
        row-major order of their first voxels. So the numbers of one map are consecutive too.

    Raises:
        ValueError: the labels are no whole numbers, or there is no such connectivity.

    Source:
        Hooking onto the least neighbour and pointer jumping: Shiloach and Vishkin 1982. Runs: He et al. 2008. Tests
        compare with ``scipy.ndimage.label`` and ``skimage.measure.label``.

    Example:
        >>> connected_components(torch.tensor([[[1, 1, 0, 2], [0, 0, 1, 2]]]))
        tensor([[[1, 1, 0, 2],
                 [0, 0, 1, 2]]], dtype=torch.int32)
    """
    runs = find_runs(labels)
    number = join_runs(runs, connectivity)[0].int() + 1
    first, last = (_without_layers(place, labels.shape) for place in (runs.first, runs.last))
    steps = torch.zeros(labels.numel() + 1, dtype=torch.int32, device=labels.device)
    steps.scatter_(0, last + 1, -number).scatter_add_(0, first, number)
    return steps.cumsum_(0)[:-1].view(labels.shape)


def find_runs(labels: torch.Tensor) -> Runs:
    """Cut the rows of label maps into runs.

    Shape:
        labels ``(N, ..., W)``, any integer dtype.

    Raises:
        ValueError: the labels are no whole numbers, or have no spatial axis.
    """
    if labels.is_floating_point() or labels.is_complex() or labels.ndim < 2:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}; give whole numbers of shape (N, H, W[, D])"
        )
    maps, *sizes = labels.shape
    layered = (maps, *(size + 1 for size in sizes))
    voxels = math.prod(layered)
    # Whole blocks, so that runs are counted and searched many voxels at a time.
    flat = torch.zeros(voxels + -voxels % BLOCK, dtype=labels.dtype, device=labels.device)
    inner = flat[:voxels].view(layered)
    for axis, size in enumerate(sizes, 1):
        inner = inner.narrow(axis, 0, size)
    inner.copy_(labels.detach())
    inside = flat != 0
    differ = flat[1:] != flat[:-1]
    first, last = inside.clone(), inside.clone()
    first[1:] &= differ
    last[:-1] &= differ
    counted = first.view(-1, BLOCK).cumsum(1, dtype=torch.uint8)
    each = counted[:, -1].long()
    start = _places(first)
    return Runs(
        first=start,
        last=_places(last),
        label=flat.gather(0, start),
        shape=labels.shape,
        inside=inside,
        counted=counted.view(-1),
        before=each.cumsum(0) - each,
    )


def join_runs(runs: Runs, connectivity: int | None = None) -> tuple[torch.Tensor, int]:
    """Find which runs are connected.

    Args:
        runs: runs of label maps.
        connectivity: as in `connected_components`.

    Returns:
        The component of each run, ``(R,)``, int64, numbered from 0 in row-major order, and how many there are.

    Raises:
        ValueError: there is no such connectivity.
    """
    axes = len(runs.shape) - 1
    connectivity = axes if connectivity is None else connectivity
    if not 1 <= connectivity <= axes:
        raise ValueError(f"connectivity is {connectivity}; maps with {axes} axes have 1 (faces) to {axes} (corners)")
    root = own = torch.arange(len(runs.first), device=runs.first.device)
    for distance, reach in _later_rows(runs.shape, connectivity):
        # What earlier rows have joined already is most of what remains in dense maps.
        pairs = [_apart(root.gather(0, a), root.gather(0, b)) for a, b in meeting_runs(runs, len(own), distance, reach)]
        root = _unite(root, *(torch.cat(side) for side in zip(*pairs, strict=True)))
    is_root = root == own
    return (is_root.cumsum(0) - 1).gather(0, root), int(is_root.sum())


def meeting_runs(runs: Runs, count: int, distance: int, reach: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of runs of one label of which the first would meet the second, were it moved and made longer.

    Args:
        runs: runs of label maps.
        count: how many runs from the beginning on are moved.
        distance: how far they are moved, in voxels of the flattened maps.
        reach: by how many voxels they are made longer at both ends.

    Yields:
        Two indices of runs, ``(P,)``, int64, for a part of the runs at a time; at least once.
    """
    for start in range(0, max(count, 1), CHUNK):
        part = slice(start, min(start + CHUNK, count))
        low, high = runs.first[part] + (distance - reach), runs.last[part] + (distance + reach)
        begin = _begun(runs, low) - runs.inside.gather(0, low).long()
        number = _begun(runs, high) - begin
        a = torch.repeat_interleave(number)
        b = torch.arange(len(a), device=a.device) + (begin - number.cumsum(0) + number).gather(0, a)
        a += start
        same = (runs.label.gather(0, a) == runs.label.gather(0, b)).nonzero().squeeze(1)
        yield a.gather(0, same), b.gather(0, same)


def _begun(runs: Runs, voxel: torch.Tensor) -> torch.Tensor:
    """How many runs begin at or before a voxel."""
    return runs.before.gather(0, voxel >> BLOCK_BITS) + runs.counted.gather(0, voxel)


def _later_rows(shape: torch.Size, connectivity: int) -> Iterator[tuple[int, int]]:
    """How far the rows around a row lie behind it, and by how much a run that touches one of theirs may miss it."""
    _, *rows, width = shape
    for steps in itertools.product((-1, 0, 1), repeat=len(rows)):
        moved = sum(step != 0 for step in steps)
        if steps > (0,) * len(rows) and moved <= connectivity:
            distance = 0
            for step, size in zip(steps, (*rows[1:], width), strict=True):
                distance = (distance + step) * (size + 1)
            yield distance, int(moved < connectivity)


def _unite(root: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Join pairs of roots and give all roots anew. Each root is the least of its tree, before and after."""
    root = root.clone()
    while len(a):
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        # Onto the least neighbour: onto any lesser one, the teeth of a comb would be joined one in a round.
        root.scatter_reduce_(0, high, low, "amin")
        a, b = _apart(_settle(root, high), root.gather(0, low))
    while not torch.equal(above := root.gather(0, root), root):
        root = above
    return root


def _settle(root: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
    """Point nodes straight to the ends of their chains, and give these."""
    end = root.gather(0, nodes)
    while not torch.equal(above := root.gather(0, end), end):
        root.scatter_(0, nodes, above)
        end = above
    return end


def _apart(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    kept = (a != b).nonzero().squeeze(1)
    return a.gather(0, kept), b.gather(0, kept)


def _places(flags: torch.Tensor) -> torch.Tensor:
    """Where flags are set. Words of eight are searched first: most of a map begins or ends no run."""
    words = flags.view(torch.int64).nonzero().squeeze(1)
    lanes = flags.view(-1, 8).index_select(0, words).view(-1).nonzero().squeeze(1)
    return words.gather(0, lanes >> 3) * 8 + (lanes & 7)


def _without_layers(place: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Where voxels of flattened maps with layers of background lie without these."""
    flat, step = torch.zeros_like(place), 1
    for size in reversed(shape[1:]):
        flat += place % (size + 1) * step
        place = place.div(size + 1, rounding_mode="floor")
        step *= size
    return flat + place * step
