"""How many surface elements lie within a tolerance of the other mask's surface."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from types import ModuleType

import torch

from monai_seg.metrics.masks import MaskPair
from monai_seg.metrics.overlap_counts import histogram
from monai_seg.metrics.surface.bricks import ToleranceMasks, tolerance_masks
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.grid import Grid, Located, shares
from monai_seg.metrics.surface.nearest import nearest_distances
from monai_seg.metrics.surface.replay import Replay

logger = logging.getLogger(__name__)

# Surface, code, and whether it is a hit, of some elements.
Found = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]
_KEPT_ADDRESSES = 1 << 22
# Few look-ups are made in one operation; with many a loop over the neighbours keeps in the cache.
_AT_ONCE = 1 << 15
# The kernels number the places of a map in 32 bits.
_KERNEL_PLACES = (1 << 31) - (1 << 16)


def counts_within(
    elements: SurfaceElements,
    spacing: Sequence[tuple[float, ...]],
    tolerances: Sequence[Sequence[float]],
    single: bool = False,
    kernels: bool | None = None,
) -> torch.Tensor:
    """Count elements by code, and by whether the other surface is within the tolerance.

    Args:
        elements: of both sides.
        spacing: of each map, in mm.
        tolerances: of each map and class, in mm.
        single: compare in float32, as MONAI does.
        kernels: count by the Triton kernels, which gives the same numbers; True takes Triton. By default on a GPU where
            `kernels_agree`. Tolerances that reach far are left to PyTorch in any case.

    Shape:
        Gives ``(N, classes, 2, codes, 2)``, int64, on the device of the elements: of prediction and reference, by
        code, without and with a hit. Border voxels have but one code, 0.
    """
    maps, classes = elements.lattice.maps, elements.masks.classes
    counts = SurfaceCounts(maps * classes, elements.codes, elements.device)
    distinct = tuple(sorted({tolerance for each in tolerances for tolerance in each}))
    variants = tuple(distinct.index(tolerance) for each in tolerances for tolerance in each)
    kernels = _uses_kernels(elements, kernels)
    for size in dict.fromkeys(spacing):
        chosen = [index for index, each in enumerate(spacing) if each == size]
        masks = tolerance_masks(size, distinct, elements.lattice.shape, single)
        if masks is None:
            # So far that too many bricks would have to be looked at.
            limits = torch.tensor(distinct, dtype=torch.float64)[list(variants)].to(elements.device)
            found = _measured(elements, chosen, size, limits, single)
        elif kernels:
            counts.table += _kernels().counts(elements, chosen, masks, variants)
            continue
        else:
            found = _looked_up(elements, chosen, masks, torch.tensor(variants).to(elements.device))
        for surface, code, hit in found:
            counts.add(surface, code, hit)
    return counts.table.view(maps, classes, 2, elements.codes, 2)


class SurfaceCounts:
    """Counts of surface elements by surface, code and whether they are a hit.

    Args:
        pairs: number of maps times classes.
        codes: number of codes.
        device: where to count.
    """

    def __init__(self, pairs: int, codes: int, device: torch.device) -> None:
        self.codes = codes
        self.table = torch.zeros(pairs * 2 * codes * 2, dtype=torch.int64, device=device)

    def add(self, surface: torch.Tensor, code: torch.Tensor | None, hit: torch.Tensor) -> None:
        """Count some elements: their surface as in `nearest_distances`, code, and hits, ``(K,)`` each."""
        key = surface.mul(2 * self.codes).add_(hit)
        if code is not None:
            key.add_(code, alpha=2)
        self.table += histogram(key, self.table.shape[0])


def _uses_kernels(elements: SurfaceElements, asked: bool | None) -> bool:
    if asked is None:
        dims, labels = len(elements.lattice.shape), elements.masks.prediction.dtype
        asked = elements.device.type == "cuda" and kernels_agree(elements.device, dims, elements.kind, labels)
    return asked and elements.lattice.places < _KERNEL_PLACES


@functools.cache
def kernels_agree(device: torch.device, dims: int, kind: str, labels: torch.dtype) -> bool:
    """Whether the Triton kernels run on a device and give the numbers of PyTorch, tried once with small label maps.

    False where Triton is missing; the log says why where it fails, for want of a C compiler or on a device that it does
    not know. Waits for the device, so that what a CUDA graph is to capture has to run once before.

    Args:
        device: where to try.
        dims: number of axes.
        kind: of elements.
        labels: dtype of the label maps.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    draw = torch.Generator().manual_seed(0)
    sides = torch.randint(0, 3, (2, 1, *(9,) * dims), generator=draw).to(device, labels)
    masks = MaskPair(sides[0], sides[1], 1, channels=2, classes=2, fault=torch.tensor(False))
    elements = SurfaceElements(masks, kind)
    expected = counts_within(elements, [(1.0,) * dims], [(0.0, 1.0)], kernels=False)
    try:
        agrees = torch.equal(counts_within(elements, [(1.0,) * dims], [(0.0, 1.0)], kernels=True), expected)
    except Exception as error:  # of the compiler, the C compiler, the driver
        logger.warning("surfaces are compared without Triton kernels: %s", error)
        return False
    if not agrees:
        logger.warning("surfaces are compared without Triton kernels: on %s they count wrongly; please report", device)
    return agrees


def _kernels() -> ModuleType:
    """Imported late, since it takes Triton."""
    return importlib.import_module("monai_seg.metrics.surface.kernels")


def reached(distance: torch.Tensor, limit: torch.Tensor, single: bool) -> torch.Tensor:
    """Whether distances are within their limits, in float64 or as MONAI in float32."""
    return distance.float() <= limit.float() if single else distance <= limit


def _looked_up(
    elements: SurfaceElements, maps: list[int], masks: ToleranceMasks, variants: torch.Tensor
) -> Iterator[Found]:
    several = masks.masks.shape[0] > 1
    # By neighbour, and in a row by tolerance and position, so that one index finds the mask of an element.
    table = masks.masks.transpose(0, 1).reshape(masks.masks.shape[1], -1).contiguous().to(elements.device)
    for share in shares(elements, maps, masks):
        grid = Grid(elements, masks, share)
        located: Replay[Located] = Replay(
            lambda grid=grid: (grid.locate(piece) for piece in elements),  # type: ignore[misc]
            lambda each: each.address.numel(),
            _KEPT_ADDRESSES,
        )
        for each in located:
            grid.add(each.address)
        surfaces = share.surfaces(elements.masks.classes).to(elements.device)
        for each in located:
            owner = grid.owner(each.address)
            surface = surfaces.index_select(0, owner)
            position = each.address & 63
            column = variants.index_select(0, surface >> 1).mul_(64).add_(position) if several else position
            word = (each.address >> 6).add_(grid.size).sub_(owner & 1, alpha=2 * grid.size)
            yield surface, each.code, _hits(grid, table, word, position, column)


def _hits(
    grid: Grid, table: torch.Tensor, word: torch.Tensor, position: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """Whether any bit of the other side is set that the mask allows: ``(K,)``, bool.

    Args:
        grid: with the elements of both sides.
        table: masks by neighbour, and by tolerance and position.
        word: of the brick of the other side with the place of the asking element.
        position: in the brick, of the asking element.
        column: in the table, of the asking element.
    """
    neighbours = grid.words.index_select(0, grid.offsets[0].index_select(0, position).add_(word))
    hit = neighbours.bitwise_and_(table[0].index_select(0, column)) != 0
    # Most elements find something in the first brick. The rest ask ever more of the others.
    start, step = 1, 8
    waiting = (~hit).nonzero().squeeze(1)
    while waiting.numel() and start < len(table):
        stop = min(start + step, len(table))
        asked, at, where = (each.index_select(0, waiting) for each in (word, position, column))
        if waiting.numel() * step <= _AT_ONCE:
            neighbours = grid.words[grid.offsets[start:stop].index_select(1, at).add_(asked)]
            found = (neighbours.bitwise_and_(table[start:stop].index_select(1, where)) != 0).any(0)
        else:
            bits = torch.zeros_like(asked)
            for index in range(start, stop):
                neighbours = grid.words.index_select(0, grid.offsets[index].index_select(0, at).add_(asked))
                bits.bitwise_or_(neighbours.bitwise_and_(table[index].index_select(0, where)))
            found = bits != 0
        hit[waiting] = found
        waiting = waiting[~found]
        start, step = stop, 4 * step
    return hit


def _measured(
    elements: SurfaceElements, maps: list[int], spacing: tuple[float, ...], limits: torch.Tensor, single: bool
) -> Iterator[Found]:
    for surface, code, distance in nearest_distances(elements, maps, spacing):
        yield surface, code, reached(distance, limits.index_select(0, surface >> 1), single)
