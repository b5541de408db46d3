"""One dense pass of byte operations over label maps marks the surfaces of all classes; only marked places go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from monai_seg.metrics.masks import MaskPair
from monai_seg.metrics.surface.lattice import VOXELS, Lattice, Piece

# The dense pass takes so many voxels at a time, which stay in a processor's cache, and so many marked places go on
# together. On a GPU each of these costs kernel launches. The first is a multiple of 8, as words of eight are looked at.
_DENSE_VOXELS = {"cpu": 1 << 19, "other": 1 << 27}
_PIECE_PLACES = {"cpu": 1 << 18, "other": 1 << 22}


@dataclass(frozen=True)
class Block:
    """A stretch of the lattice that is worked on at once, with the plane before and after it."""

    masks: MaskPair
    kind: str
    lattice: Lattice
    maps: slice
    sides: tuple[int, ...]
    planes: slice

    @property
    def length(self) -> int:
        maps = self.maps.stop - self.maps.start
        return maps * len(self.sides) * (self.planes.stop - self.planes.start) * self.lattice.strides[0]

    @property
    def start(self) -> int:
        """Place in the whole lattice of the first place of the block."""
        lattice = self.lattice
        first_map = 2 * self.maps.start + self.sides[0]
        return first_map * lattice.places + self.planes.start * lattice.strides[0]

    @property
    def before(self) -> int:
        """Bytes in the buffer before the first place: as far back as a neighbour can lie, in whole words."""
        return -(-sum(self.lattice.strides) // 8) * 8

    def pieces(self, first_class: int) -> Iterator[Piece]:
        labels = self._labels(first_class)
        marks = self._marks(labels)
        places = _nonzero_bytes(marks)
        del marks
        limit = _PIECE_PLACES["cpu" if labels.device.type == "cpu" else "other"]
        one_class = self.masks.classes == 1
        for some in places.split(limit) if places.numel() else ():
            if self.kind == VOXELS:
                found = self._border_voxels(labels, some, one_class)
            else:
                found = self._corners(labels, some, one_class)
            for place, label, code in found:
                yield Piece(place + self.start, label, code, first_class)

    def _labels(self, first_class: int) -> torch.Tensor:
        """The labels of the block in flat order, as bytes, with what lies around it."""
        lattice, masks = self.lattice, self.masks
        plane, before = lattice.strides[0], self.before
        flat = torch.zeros(before + self.length + before, dtype=torch.uint8, device=self.masks.prediction.device)
        for index, side in enumerate(self.sides):
            source = _class_window((masks.prediction, masks.reference)[side][self.maps], first_class, masks.classes)
            if len(self.sides) == 2:
                body = flat[before : before + self.length].view(-1, 2, *lattice.padded)[:, index]
            else:
                low, high = max(self.planes.start - 1, 0), min(self.planes.stop + 1, lattice.shape[0])
                source = source[:, low:high]
                body = flat[before - plane : before + self.length + plane].view(1, -1, *lattice.padded[1:])
                body = body[:, low - self.planes.start + 1 :]
            for axis, size in enumerate(source.shape):
                body = body.narrow(axis, 0, size)
            body.copy_(source)
        return flat

    def _marks(self, labels: torch.Tensor) -> torch.Tensor:
        """A byte for each place that is not 0 where there is a surface."""
        strides = sorted(self.lattice.strides)
        marks = torch.empty(self.length, dtype=torch.uint8, device=labels.device)
        step = _DENSE_VOXELS["cpu" if labels.device.type == "cpu" else "other"]
        mark = _mark_border_voxels if self.kind == VOXELS else _mark_corners
        for start in range(0, self.length, step):
            mark(labels, self.before + start, strides, marks[start : start + step])
        return marks

    def _border_voxels(self, labels: torch.Tensor, places: torch.Tensor, one_class: bool) -> Iterator[tuple]:
        label = labels[self.before :].index_select(0, places)
        inside = label.nonzero().squeeze(1)
        yield places.index_select(0, inside), None if one_class else label.index_select(0, inside), None

    def _corners(self, labels: torch.Tensor, places: torch.Tensor, one_class: bool) -> Iterator[tuple]:
        strides = self.lattice.strides
        around = torch.empty(2 ** len(strides), places.numel(), dtype=torch.uint8, device=labels.device)
        start = self.before - sum(strides)
        for row, steps in zip(around, itertools.product((0, 1), repeat=len(strides)), strict=True):
            offset = start + sum(step * stride for step, stride in zip(steps, strides, strict=True))
            torch.index_select(labels[offset:], 0, places, out=row)
        if one_class:
            yield places, None, _code(around)
        else:
            yield from _by_label(places, around)


def _class_window(labels: torch.Tensor, first_class: int, classes: int) -> torch.Tensor:
    """The labels of 255 classes as 1 to 255, all others as 0."""
    if classes <= 255:
        return labels
    shifted = labels - first_class
    return torch.where((shifted >= 1) & (shifted <= 255), shifted, 0)


def _mark_corners(labels: torch.Tensor, start: int, strides: list[int], marks: torch.Tensor) -> None:
    """Mark the corners around which not all voxels have one label."""
    length = marks.numel() + sum(strides)
    source = labels[start - sum(strides) : start + marks.numel()]
    differ = torch.zeros((), dtype=torch.uint8, device=labels.device).expand(length)
    for stride in strides:
        length -= stride
        step = source[stride : stride + length] ^ source[:length]
        if stride != strides[0]:
            step |= differ[:length]
            step |= differ[stride : stride + length]
        differ = step
    marks.copy_(differ)


def _mark_border_voxels(labels: torch.Tensor, start: int, strides: list[int], marks: torch.Tensor) -> None:
    """Mark the voxels of which a neighbour by face has another label."""
    marks.zero_()
    for stride in strides:
        step = labels[start - stride : start + marks.numel()] ^ labels[start : start + marks.numel() + stride]
        marks |= step[: marks.numel()]
        marks |= step[stride:]


def _nonzero_bytes(marks: torch.Tensor) -> torch.Tensor:
    """Indices of bytes that are not 0, looking at eight at a time first, since few are marked."""
    words = marks.view(torch.int64)
    kept = words.nonzero().squeeze(1)
    found = words.index_select(0, kept).view(torch.uint8).nonzero().squeeze(1)
    return kept.index_select(0, found >> 3).mul_(8).add_(found.bitwise_and_(7))


def _by_label(places: torch.Tensor, around: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """One element for each label but 0 at each corner: its place, label and code.

    Nearly all corners have two labels, one of which may be 0: the highest and the lowest. The rest have a third.
    """
    high, low = _tree(torch.maximum, around), _tree(torch.minimum, around)
    high_code, low_code = _code(around == high), _code(around == low)
    yield places, high, high_code
    inside = low.nonzero().squeeze(1)
    if inside.numel():
        yield tuple(each.index_select(0, inside) for each in (places, low, low_code))  # type: ignore[misc]
    junction = ((high_code | low_code) != 2 ** around.shape[0] - 1).nonzero().squeeze(1)
    if junction.numel():
        around, high, low = around.index_select(1, junction), high[junction], low[junction]
        same = (around[None] == around[:, None]).view(torch.uint8)  # position of a bit, position that asks, corner
        codes = _code(same.flatten(1)).view(around.shape)
        shifts = torch.arange(around.shape[0] - 1, -1, -1, dtype=torch.uint8, device=around.device)[:, None]
        first = codes >> shifts == 1  # no voxel before this one has its label
        position, corner = (first & (around != 0) & (around != high) & (around != low)).nonzero().unbind(1)
        if corner.numel():
            yield places[junction[corner]], around[position, corner], codes[position, corner]


def _code(filled: torch.Tensor) -> torch.Tensor:
    """Bits of the voxels around a corner, the first voxel in the highest bit: ``(2^d, K)`` of 0 and 1 to ``(K,)``."""
    rows = filled.view(torch.uint8) if filled.dtype == torch.bool else filled
    shifts = torch.arange(rows.shape[0] - 1, -1, -1, dtype=torch.uint8, device=rows.device)
    return _tree(torch.bitwise_or, rows << shifts[:, None])


def _tree(combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    half = rows.shape[0] // 2
    while half:
        rows = combine(rows[:half], rows[half : 2 * half])
        half //= 2
    return rows[0]
