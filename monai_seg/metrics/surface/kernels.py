"""The counts of `monai_seg.metrics.surface.within` in two Triton kernels, which never wait for the host.

In PyTorch each step is a kernel launch of its own, and each list of elements a question to the device of how long it
is. Here both kernels go over all places, straight from the label maps: the first sets the bits of the elements that it
finds, the second finds them again, looks at the bricks nearby and counts. Both handle whole numbers only, so that the
counts are those of PyTorch, to the last one.

Importing this module takes Triton. Its interpreter gives the same counts on a CPU, for tests. How fast the kernels are
on a GPU has not been measured.
"""

# Triton's language has tuples that grow, but no unpacking.
# ruff: noqa: RUF005
# mypy: disable-error-code="assignment"

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl

from monai_seg.metrics.surface.bricks import ToleranceMasks
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.grid import Bitmaps, Share, shares
from monai_seg.metrics.surface.lattice import VOXELS

# Places of one program, and its warps; neighbours that are looked up without waiting for each other. Not tuned.
BLOCK, WARPS, TOGETHER = 256, 4, 4
# Flat surfaces have few codes, which many programs count at once; so that they do not queue for one number there are
# up to so many copies of the table, as long as these are small.
_MOST_COPIES, _COPIED_ENTRIES = 64, 1 << 20
# What a CUDA graph reads has to outlive it, whatever the caches forget.
_CAPTURED: list[torch.Tensor] = []


def counts(
    elements: SurfaceElements, maps: list[int], masks: ToleranceMasks, variants: tuple[int, ...]
) -> torch.Tensor:
    """Count elements of some maps by code, and by whether the other surface is within the tolerance.

    The first call with some shape, spacing and tolerances copies tables to the device. Later ones only launch kernels,
    and can be captured in a CUDA graph.

    Args:
        elements: of both sides.
        maps: which of the maps.
        masks: for the spacing of these maps, and all tolerances.
        variants: which of the tolerances each map and class has, for all maps.

    Shape:
        Gives ``(N * classes * 2 * codes * 2,)``, int64, in the order of `within.counts_within`; 0 for other maps.
    """
    entries = elements.lattice.maps * elements.masks.classes * 2 * elements.codes * 2
    copies = max(1, min(_MOST_COPIES, _COPIED_ENTRIES // entries))
    table = torch.zeros(copies, entries, dtype=torch.int64, device=elements.device)
    with torch.cuda.device_of(table):  # Triton launches on the current device
        for share in shares(elements, maps, masks):
            _count_share(elements, share, masks, variants, table)
    return table.sum(0)


def _count_share(
    elements: SurfaceElements, share: Share, masks: ToleranceMasks, variants: tuple[int, ...], table: torch.Tensor
) -> None:
    lattice, device = elements.lattice, elements.device
    dims, border = len(lattice.shape), elements.kind == VOXELS
    places = 1
    for size in lattice.shape:
        places *= size + (not border)
    programs = -(-places // BLOCK) * 2 * len(share.maps)
    bitmaps = Bitmaps(lattice, masks, share)
    common = (
        *(elements.masks.prediction, elements.masks.reference, _on_device(share.maps, device)),
        *(bitmaps.empty(device), torch.empty(programs, dtype=torch.uint8, device=device)),
        *((1,) * (3 - dims) + lattice.shape),
        *(bitmaps.strides[0], bitmaps.strides[-2], *masks.log2_sides[-2:], bitmaps.margin, bitmaps.size),
        *(share.classes.start, len(share.classes)),
    )
    offsets, allowed = _outliving(_tables(masks, tuple(bitmaps.strides), device))
    tables = (offsets, allowed, _on_device(variants, device), table)
    numbers = (len(offsets), len(masks.masks), elements.masks.classes, *table.shape)
    options = {"DIMS": dims, "BORDER": border, "BLOCK": BLOCK, "num_warps": WARPS}
    mark_elements[(programs,)](*common, **options)
    count_elements[(programs,)](*common, *tables, *numbers, TOGETHER=TOGETHER, **options)


def _on_device(values: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return _outliving((_uploaded(values, device),))[0]


@functools.lru_cache(maxsize=64)
def _uploaded(values: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32).to(device)


@functools.lru_cache(maxsize=16)
def _tables(masks: ToleranceMasks, strides: tuple[int, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Words to each neighbour ``(J, 64)``, and the bits that are within each tolerance ``(J, T, 64)``; int64."""
    tables = torch.from_numpy((masks.offsets * strides).sum(-1)), masks.masks.transpose(0, 1)
    more = -len(masks.offsets) % TOGETHER  # rows that allow nothing
    return tuple(torch.cat([table, table.new_zeros(more, *table.shape[1:])]).to(device) for table in tables)


def _outliving(tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    if tensors[0].is_cuda and torch.cuda.is_current_stream_capturing():
        _CAPTURED.extend(tensors)
    return tensors


# Triton compiles a kernel anew for numbers that are 1 or divisible by 16, and it has no say where numbers come in
# tuples. So they come one by one, and a dataset of many shapes takes one compilation.
_SHAPE = ["depth", "height", "width"]
_BITMAPS = ["stride_0", "stride_1", "log2_1", "log2_2", "margin", "size", "first_class", "classes"]
_TABLES = ["neighbours", "tolerances", "all_classes", "copies", "entries"]


@triton.jit(do_not_specialize=[*_SHAPE, *_BITMAPS])
def mark_elements(
    prediction: tl.tensor, reference: tl.tensor, maps: tl.tensor, words: tl.tensor, busy: tl.tensor,
    depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    stride_0: tl.tensor, stride_1: tl.tensor, log2_1: tl.tensor, log2_2: tl.tensor, margin: tl.tensor, size: tl.tensor,
    first_class: tl.tensor, classes: tl.tensor,
    DIMS: tl.constexpr, BORDER: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Set the bit of each element in ``words``, and note in ``busy`` which programs have any."""
    slot, side, z, y, x = _places(depth, height, width, DIMS, BORDER, BLOCK)
    labels = _map_of(prediction, reference, tl.load(maps + slot), side, depth, height, width)
    around = _labels_around(labels, z, y, x, depth, height, width, DIMS, BORDER)
    left = _positions(around, DIMS, BORDER, BLOCK)
    tl.store(busy + tl.program_id(0), (tl.max(left, axis=0) != 0).to(tl.uint8))
    word, position = _address(z, y, x, stride_0, stride_1, log2_1, log2_2)
    while tl.max(left, axis=0) != 0:
        label, code = _next_label(around, left, DIMS, BORDER)
        left = left & ~code
        mine = (label > first_class) & (label <= first_class + classes)
        owner = 2 * (slot * classes + label - 1 - first_class) + side
        bit = tl.full([BLOCK], 1, tl.int64) << position.to(tl.int64)
        tl.atomic_or(words + margin + owner.to(tl.int64) * size + word, bit, mask=mine, sem="relaxed")


@triton.jit(do_not_specialize=[*_SHAPE, *_BITMAPS, *_TABLES])
def count_elements(
    prediction: tl.tensor, reference: tl.tensor, maps: tl.tensor, words: tl.tensor, busy: tl.tensor,
    depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    stride_0: tl.tensor, stride_1: tl.tensor, log2_1: tl.tensor, log2_2: tl.tensor, margin: tl.tensor, size: tl.tensor,
    first_class: tl.tensor, classes: tl.tensor,
    offsets: tl.tensor, masks: tl.tensor, variants: tl.tensor, table: tl.tensor,
    neighbours: tl.tensor, tolerances: tl.tensor, all_classes: tl.tensor, copies: tl.tensor, entries: tl.tensor,
    TOGETHER: tl.constexpr, DIMS: tl.constexpr, BORDER: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Look from each element at the bricks of the other side, and count it in ``table``."""
    if tl.load(busy + tl.program_id(0)) == 0:
        return
    CODES: tl.constexpr = 1 if BORDER else 1 << (1 << DIMS)
    slot, side, z, y, x = _places(depth, height, width, DIMS, BORDER, BLOCK)
    index = tl.load(maps + slot)
    labels = _map_of(prediction, reference, index, side, depth, height, width)
    around = _labels_around(labels, z, y, x, depth, height, width, DIMS, BORDER)
    left = _positions(around, DIMS, BORDER, BLOCK)
    word, position = _address(z, y, x, stride_0, stride_1, log2_1, log2_2)
    own_table = table + (tl.program_id(0) % copies).to(tl.int64) * entries
    while tl.max(left, axis=0) != 0:
        label, code = _next_label(around, left, DIMS, BORDER)
        left = left & ~code
        mine = (label > first_class) & (label <= first_class + classes)
        pair = index * all_classes + label - 1
        variant = tl.load(variants + pair, mask=mine, other=0)
        owner = 2 * (slot * classes + label - 1 - first_class) + 1 - side
        other = words + margin + owner.to(tl.int64) * size + word
        hit = _any_within(other, position, variant, mine, offsets, masks, neighbours, tolerances, TOGETHER, BLOCK)
        key = (2 * pair + side).to(tl.int64) * (2 * CODES) + hit
        if not BORDER:
            key += 2 * code
        tl.atomic_add(own_table + key, tl.full([BLOCK], 1, tl.int64), mask=mine, sem="relaxed")


@triton.jit
def _any_within(
    other: tl.tensor, position: tl.tensor, variant: tl.tensor, asking: tl.tensor,
    offsets: tl.tensor, masks: tl.tensor, neighbours: tl.tensor, tolerances: tl.tensor,
    TOGETHER: tl.constexpr, BLOCK: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """1 where a brick near ``other`` has a bit that the masks allow, else 0."""
    hit = tl.zeros([BLOCK], tl.int32)
    row = 0
    while tl.max(asking.to(tl.int32), axis=0) != 0:
        bits = tl.zeros([BLOCK], tl.int64)
        for step in tl.static_range(TOGETHER):
            offset = tl.load(offsets + (row + step) * 64 + position, mask=asking, other=0)
            allowed = tl.load(masks + ((row + step) * tolerances + variant) * 64 + position, mask=asking, other=0)
            bits |= tl.load(other + offset, mask=asking, other=0) & allowed
        hit |= (bits != 0).to(tl.int32)
        row += TOGETHER
        asking = asking & (bits == 0) & (row < neighbours)
    return hit


@triton.jit
def _places(
    depth: tl.tensor, height: tl.tensor, width: tl.tensor, DIMS: tl.constexpr, BORDER: tl.constexpr, BLOCK: tl.constexpr
) -> tl.tensor:
    """Which map of the share and which side a program works on, and the indices of its places, some beyond the end."""
    rows = height if BORDER else height + 1
    columns = width if BORDER else width + 1
    planes = depth + 1 if DIMS == 3 and not BORDER else depth
    blocks = tl.cdiv(planes * rows * columns, BLOCK)
    surface = tl.program_id(0) // blocks
    index = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    row = index // columns
    return surface // 2, surface % 2, row // rows, row % rows, index % columns


@triton.jit
def _map_of(
    prediction: tl.tensor, reference: tl.tensor, index: tl.tensor, side: tl.tensor,
    depth: tl.tensor, height: tl.tensor, width: tl.tensor,
) -> tl.tensor:  # fmt: skip
    labels = prediction if side == 0 else reference
    return labels + index.to(tl.int64) * (depth * height * width)


@triton.jit
def _labels_around(
    labels: tl.tensor, z: tl.tensor, y: tl.tensor, x: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    DIMS: tl.constexpr, BORDER: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Labels of the 2^d voxels around a corner; or of a voxel and, after it, of its neighbours by face."""
    around = ()
    if BORDER:
        around = around + (_label(labels, z, y, x, depth, height, width),)
        for step in tl.static_range(-1, 2, 2):
            if DIMS == 3:
                around = around + (_label(labels, z + step, y, x, depth, height, width),)
            around = around + (_label(labels, z, y + step, x, depth, height, width),)
            around = around + (_label(labels, z, y, x + step, depth, height, width),)
    else:
        for corner in tl.static_range(1 << DIMS):
            before_z = z if DIMS == 2 else z - 1 + (corner >> 2)
            label = _label(labels, before_z, y - 1 + ((corner >> 1) & 1), x - 1 + (corner & 1), depth, height, width)
            around = around + (label,)
    return around


@triton.jit
def _label(
    labels: tl.tensor, z: tl.tensor, y: tl.tensor, x: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor
) -> tl.tensor:
    inside = (z >= 0) & (z < depth) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return tl.load(labels + ((z * height + y) * width + x), mask=inside, other=0).to(tl.int32)


@triton.jit
def _positions(around: tl.tensor, DIMS: tl.constexpr, BORDER: tl.constexpr, BLOCK: tl.constexpr) -> tl.tensor:
    """Bits of the voxels around a place that make it one of elements: their label is not 0, and not that of all."""
    SIDES: tl.constexpr = 2 * DIMS + 1 if BORDER else 1 << DIMS
    POSITIONS: tl.constexpr = 1 if BORDER else SIDES
    differ = tl.zeros([BLOCK], tl.int32)
    left = tl.zeros([BLOCK], tl.int32)
    for position in tl.static_range(SIDES):
        differ |= around[position] ^ around[0]
        if position < POSITIONS:
            left |= (around[position] != 0).to(tl.int32) << (POSITIONS - 1 - position)
    return tl.where(differ != 0, left, 0)


@triton.jit
def _next_label(around: tl.tensor, left: tl.tensor, DIMS: tl.constexpr, BORDER: tl.constexpr) -> tl.tensor:
    """The label of the first voxel that is left, 0 for none, and the bits of all voxels that have it."""
    POSITIONS: tl.constexpr = 1 if BORDER else 1 << DIMS
    label = tl.zeros_like(left)
    for later in tl.static_range(POSITIONS):  # the first voxel has the highest bit, and the last word
        label = tl.where((left >> later) & 1 != 0, around[POSITIONS - 1 - later], label)
    code = tl.zeros_like(left)
    for position in tl.static_range(POSITIONS):
        code |= (around[position] == label).to(tl.int32) << (POSITIONS - 1 - position)
    return label, code


@triton.jit
def _address(
    z: tl.tensor, y: tl.tensor, x: tl.tensor,
    stride_0: tl.tensor, stride_1: tl.tensor, log2_1: tl.tensor, log2_2: tl.tensor,
) -> tl.tensor:  # fmt: skip
    """Word of a place in the bitmap of its surface, and which bit it is. In 2D all have a ``z`` of 0."""
    log2_0 = 6 - log2_1 - log2_2
    word = (z >> log2_0).to(tl.int64) * stride_0 + (y >> log2_1) * stride_1 + (x >> log2_2)
    in_plane = ((y & ((1 << log2_1) - 1)) << log2_2) + (x & ((1 << log2_2) - 1))
    return word, ((z & ((1 << log2_0) - 1)) << (log2_1 + log2_2)) + in_plane
