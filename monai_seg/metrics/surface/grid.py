"""A bitmap of surface elements on a device, in bricks, for some maps and classes of a batch at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from monai_seg.metrics.surface.bricks import Bricks
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.lattice import Lattice, Piece

# Words of all bitmaps that exist at once, beyond what a single map and class needs: 48 MiB.
_MOST_WORDS = {"cpu": 6 << 20, "other": 1 << 27}


@dataclass(frozen=True)
class Share:
    """The maps and classes that are worked on together.

    Attributes:
        maps: indices of maps, ascending.
        classes: range of classes, counted from 0.
    """

    maps: tuple[int, ...]
    classes: range

    def surfaces(self, classes: int) -> torch.Tensor:
        """``(map * classes + class) * 2 + side`` of each surface of the share, in the order of its owners."""
        pairs = torch.tensor(self.maps)[:, None] * classes + torch.tensor(self.classes)
        return (2 * pairs.flatten()[:, None] + torch.arange(2)).flatten()


def shares(elements: SurfaceElements, maps: list[int], layout: Bricks) -> Iterator[Share]:
    """Cut maps and classes into shares of which the bitmaps have bounded size; mostly there is one share."""
    size = 2 * math.prod(_sides(elements.lattice, layout))
    most = max(1, _MOST_WORDS["cpu" if elements.device.type == "cpu" else "other"] // size)
    classes = elements.masks.classes
    together = max(1, most // classes)
    for start in range(0, len(maps), together):
        for first in range(0, classes, most):
            yield Share(tuple(maps[start : start + together]), range(first, min(first + most, classes)))


@dataclass(frozen=True)
class Located:
    """Surface elements of a share in the terms of its grid.

    Attributes:
        address: ``word * 64 + bit`` of the place in the bitmaps, ``(K,)``, int64.
        chosen: which elements of the piece these are, ``(K,)``; None for all.
        piece: where they come from.
    """

    address: torch.Tensor
    chosen: torch.Tensor | None
    piece: Piece

    @property
    def code(self) -> torch.Tensor | None:
        """Code of each element, ``(K,)``, uint8; None for border voxels."""
        code = self.piece.code
        return code if code is None or self.chosen is None else code.index_select(0, self.chosen)


class Bitmaps:
    """Where the bitmaps of prediction and reference of each map and class of a share lie among the words of a grid.

    Args:
        lattice: of the places.
        layout: how places are packed.
        share: for which maps and classes.

    Attributes:
        sides: bricks along each axis.
        strides: words from one brick to the next along each axis.
        size: words of one side of one map and class. They follow each other by map, class and side.
        margin: words before the first bitmap, and after the last.
        pairs: number of maps times classes of the share.
    """

    def __init__(self, lattice: Lattice, layout: Bricks, share: Share) -> None:
        self.lattice, self.layout, self.share = lattice, layout, share
        self.sides = _sides(lattice, layout)
        self.strides = [math.prod(self.sides[axis + 1 :]) for axis in range(len(self.sides))]
        self.size = math.prod(self.sides)
        # Neighbours before the first brick of an axis are those after the last brick of the axis before it.
        self.margin = sum(halo * stride for halo, stride in zip(layout.halo, self.strides, strict=True))
        self.pairs = len(share.maps) * len(share.classes)

    def empty(self, device: torch.device) -> torch.Tensor:
        """All words, with no bit set."""
        return torch.zeros(2 * self.margin + 2 * self.pairs * self.size, dtype=torch.int64, device=device)


class Grid(Bitmaps):
    """Bitmaps on a device, and what it takes to put elements in.

    Args:
        elements: what is to be put in.
        layout: how places are packed.
        share: for which maps and classes.
    """

    def __init__(self, elements: SurfaceElements, layout: Bricks, share: Share) -> None:
        super().__init__(elements.lattice, layout, share)
        self.device = elements.device
        self.all_classes = len(share.classes) == elements.masks.classes
        self.offsets = torch.from_numpy((layout.offsets * self.strides).sum(-1)).to(self.device)
        self._rows, self._last = self._addresses()
        self.words = self.empty(self.device)

    def _addresses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Word and bit, as ``word * 64 + bit``, of each row of the lattice, and what each place in a row adds."""
        maps, classes = self.lattice.maps, len(self.share.classes)
        first = torch.full((maps,), -1, dtype=torch.int64)
        first[list(self.share.maps)] = torch.arange(len(self.share.maps)) * (2 * classes * self.size)
        surfaces = torch.stack([first, first + self.size], dim=1).flatten().add_(self.margin) << 6
        surfaces[(first < 0).repeat_interleave(2)] = torch.iinfo(torch.int64).min // 2  # negative whatever is added
        rows, last = _rows_of_map(self.lattice.padded, self.layout.log2_sides, tuple(self.strides), self.device)
        return (surfaces.to(self.device)[:, None] + rows).flatten(), last

    def locate(self, piece: Piece) -> Located:
        """The elements of a piece that are of the share."""
        row = torch.div(piece.place, self.lattice.padded[-1], rounding_mode="floor")
        last = torch.sub(piece.place, row, alpha=self.lattice.padded[-1])
        address = self._rows.index_select(0, row).add_(self._last.index_select(0, last))
        classes, first = piece.classes(), self.share.classes.start
        kept = None if len(self.share.maps) == self.lattice.maps else address >= 0
        if isinstance(classes, torch.Tensor):
            address.add_(classes - first if first else classes, alpha=2 * self.size << 6)
            if not self.all_classes:
                of_share = (classes >= first) & (classes < self.share.classes.stop)
                kept = of_share if kept is None else kept & of_share
        chosen = None
        if kept is not None:
            chosen = kept.nonzero().squeeze(1)
            address = address.index_select(0, chosen)
        return Located(address, chosen, piece)

    def add(self, address: torch.Tensor) -> None:
        """Set the bit of each element. No two share a bit, so that adding is or-ing, which any device does alike."""
        self.words.index_add_(0, address >> 6, torch.ones_like(address) << (address & 63))

    def owner(self, address: torch.Tensor) -> torch.Tensor:
        """Twice the index of the pair in the share, plus 1 for the reference: ``(K,)``, int64."""
        return torch.div((address >> 6).sub_(self.margin), self.size, rounding_mode="floor")


def _sides(lattice: Lattice, layout: Bricks) -> list[int]:
    """Bricks along each axis, with those that nothing is in beyond the last."""
    return [
        -(-(size + 1) // (1 << log2)) + halo
        for size, log2, halo in zip(lattice.shape, layout.log2_sides, layout.halo, strict=True)
    ]


@functools.lru_cache(maxsize=8)
def _rows_of_map(
    padded: tuple[int, ...], log2_sides: tuple[int, ...], strides: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Addresses of the rows of one map, and what each place in a row adds: the same for each call on such maps."""
    along = []
    for axis, (places, log2, stride) in enumerate(zip(padded, log2_sides, strides, strict=True)):
        index = torch.arange(places, device=device)
        bits = sum(log2_sides[axis + 1 :])
        along.append((index >> log2) * (stride << 6) + ((index & ((1 << log2) - 1)) << bits))
    rows = torch.zeros(1, dtype=torch.int64, device=device)
    for addresses in along[:-1]:
        rows = (rows[:, None] + addresses).flatten()
    return rows, along[-1]
