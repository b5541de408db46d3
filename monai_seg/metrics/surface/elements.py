"""Where the surfaces of masks are: the elements of all classes of a batch, found once and passed over several times."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import torch

from monai_seg.metrics.masks import MaskPair
from monai_seg.metrics.surface.blocks import Block
from monai_seg.metrics.surface.lattice import CORNERS, VOXELS, Lattice, Piece
from monai_seg.metrics.surface.replay import Replay

# Work is cut into blocks of so many voxels: what it needs beside its result is bounded, whatever the size of an image.
# On a GPU each block costs kernel launches.
_BLOCK_VOXELS = {"cpu": 1 << 21, "other": 1 << 27}
# Elements are kept between passes up to this number, and found anew in each pass beyond it.
_KEPT_ELEMENTS = 1 << 24
_JOINED_ELEMENTS = 1 << 17


class SurfaceElements:
    """The surface elements of all maps of a batch, in pieces of bounded size.

    Args:
        masks: the batch.
        kind: `CORNERS` at which the voxels of a class begin or end, as in the reference implementation of the surface
            distance; or border `VOXELS`, those with a face on the outside, as MONAI does by default.
    """

    def __init__(self, masks: MaskPair, kind: str = CORNERS) -> None:
        self.masks, self.kind = masks, kind
        self.lattice = Lattice(tuple(masks.prediction.shape[1:]), len(masks.prediction))
        self.device = masks.prediction.device
        self._pieces = Replay(lambda: _joined(self._find()), lambda piece: piece.place.numel(), _KEPT_ELEMENTS)

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    @property
    def codes(self) -> int:
        """Number of codes that an element can have."""
        return 1 if self.kind == VOXELS else 2**2 ** len(self.lattice.shape)

    def _find(self) -> Iterator[Piece]:
        for first_class in range(0, self.masks.classes, 255):
            for block in self._blocks():
                yield from block.pieces(first_class)

    def _blocks(self) -> Iterator[Block]:
        """Whole maps together as long as they are small, else some planes of one side of one map."""
        lattice, size = self.lattice, _BLOCK_VOXELS["cpu" if self.device.type == "cpu" else "other"]
        planes = lattice.padded[0]
        if 2 * lattice.places <= size:
            step = size // (2 * lattice.places)
            for start in range(0, lattice.maps, step):
                maps = slice(start, min(start + step, lattice.maps))
                yield Block(self.masks, self.kind, lattice, maps, (0, 1), slice(0, planes))
            return
        step = max(1, size // lattice.strides[0])
        for index, side, start in itertools.product(range(lattice.maps), (0, 1), range(0, planes, step)):
            maps, some = slice(index, index + 1), slice(start, min(start + step, planes))
            yield Block(self.masks, self.kind, lattice, maps, (side,), some)


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Fewer and larger pieces, since each costs the same number of operations, but of bounded size."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        size += piece.place.numel()
        if group and (size > _JOINED_ELEMENTS or piece.first_class != group[0].first_class):
            yield _cat(group)
            group, size = [], piece.place.numel()
        group.append(piece)
    if group:
        yield _cat(group)


def _cat(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    parts = [[getattr(piece, name) for piece in pieces] for name in ("place", "label", "code")]
    place, label, code = (None if part[0] is None else torch.cat(part) for part in parts)
    return Piece(place, label, code, pieces[0].first_class)  # type: ignore[arg-type]
