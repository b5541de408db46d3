"""Surface metrics do not depend on what they must not: side, place, unit, batch, order, form, pieces, threads."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.data import MetaTensor
from monai.networks.utils import one_hot

from monai_seg.metrics.surface import (
    AverageSymmetricSurfaceDistance,
    HausdorffDistance,
    MeanAverageSurfaceDistance,
    SurfaceDice,
    blocks,
    bricks,
    elements,
    far,
    grid,
    surface_dice,
    within,
)

quick = settings(deadline=None, max_examples=12, derandomize=True)
DEFINITIONS = ("subvoxel", "monai_subvoxel", "monai_border")
HAUSDORFF_DEFINITIONS = ("subvoxel", "monai_border")
# Of these and their sums of squares none is rounded, so that what is equal on paper is equal in bits.
SIZES = st.sampled_from([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
TOLERANCE = st.integers(0, 24).map(lambda quarters: quarters / 4)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """On masks as small as these, the threads of PyTorch mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Case:
    """Label maps ``(B, 1, *shape)`` with classes from 1 on, a spacing for all, a tolerance for each class."""

    prediction: torch.Tensor
    reference: torch.Tensor
    spacing: tuple[float, ...]
    tolerances: tuple[float, ...]

    @property
    def dims(self) -> int:
        return len(self.spacing)

    @property
    def classes(self) -> int:
        return len(self.tolerances)

    @property
    def masks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fresh tensors, on which nothing was found yet."""
        return self.prediction.clone(), self.reference.clone()

    def map(self, change) -> Case:
        return replace(self, prediction=change(self.prediction), reference=change(self.reference))

    @property
    def present(self) -> torch.Tensor:
        """Where both masks have the class: ``(B, C)``."""
        masks = [one_hot(labels, self.classes + 1)[:, 1:].flatten(2).any(2) for labels in self.masks]
        return masks[0] & masks[1]


@st.composite
def cases(draw) -> Case:
    shape = draw(array_shapes(min_dims=2, max_dims=3, max_side=7))
    classes = draw(st.integers(1, 3))
    sides = [draw(arrays(np.uint8, shape, elements=st.integers(0, classes))) for _ in range(2)]
    spacing, tolerances = (
        [draw(values) for _ in range(count)] for values, count in ((SIZES, len(shape)), (TOLERANCE, classes))
    )
    pair = [torch.from_numpy(side.copy())[None, None] for side in sides]
    return Case(*pair, tuple(spacing), tuple(tolerances))


def drawn(shape: tuple[int, ...], classes: int = 3, batch: int = 3, seed: int = 0, share: float = 0.3) -> Case:
    draw = torch.Generator().manual_seed(seed)
    size, dtype = (batch, 1, *shape), torch.uint8 if classes < 256 else torch.int16
    sides = [
        ((torch.rand(size, generator=draw) < share) * torch.randint(1, classes + 1, size, generator=draw)).to(dtype)
        for _ in range(2)
    ]
    spacing = (0.7, 1.1, 2.3)[: len(shape)]
    return Case(*sides, spacing, tuple(0.5 + 0.75 * (index % 4) for index in range(classes)))


def shares(case: Case) -> torch.Tensor:
    """Surface Dice by all definitions: ``(3, B, C)``."""
    return found(case)[0]


def farthest(case: Case) -> torch.Tensor:
    """Hausdorff distances, which are distances between two elements and no sums: ``(n, B, C)``."""
    return found(case)[1]


def averages(case: Case) -> torch.Tensor:
    """Average distances: ``(n, B, C)``."""
    return found(case)[2]


def found(case: Case) -> list[torch.Tensor]:
    """All values, with the work that metrics on the same tensors share done once: `shares`, `farthest`, `averages`."""
    masks, classes = case.masks, case.classes + 1
    metrics = [[SurfaceDice(case.tolerances, definition=definition) for definition in DEFINITIONS]]
    metrics.append([HausdorffDistance(classes, percentile=percentile) for percentile in (None, 95, 50)])
    metrics[1] += [HausdorffDistance(classes, percentile=each, definition="monai_border") for each in (None, 95)]
    kinds = itertools.product((AverageSymmetricSurfaceDistance, MeanAverageSurfaceDistance), HAUSDORFF_DEFINITIONS)
    metrics.append([kind(classes, definition=definition) for kind, definition in kinds])
    return [torch.stack([metric(*masks, spacing=case.spacing) for metric in some]) for some in metrics]


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.allclose(first, second, rtol=1e-14, atol=1e-14, equal_nan=True)


@quick
@given(cases())
def test_sides_can_be_exchanged(case):
    other = replace(case, prediction=case.reference, reference=case.prediction)
    assert all(map(same, found(case), found(other)))


@quick
@given(cases(), st.lists(TOLERANCE, min_size=2, max_size=5))
def test_larger_tolerance_never_lowers_the_share(case, tolerances):
    values = torch.stack([shares(replace(case, tolerances=(each,) * case.classes)) for each in sorted(tolerances)])
    defined = values[~values.isnan()]
    assert ((defined >= 0) & (defined <= 1)).all()
    assert (values.diff(dim=0).nan_to_num(0) >= 0).all()


@quick
@given(cases())
def test_equal_masks_agree_wholly(case):
    equal = replace(case, reference=case.prediction, tolerances=(0.0,) * case.classes)
    present = equal.present
    for values, best in zip(found(equal), (1.0, 0.0, 0.0), strict=True):
        assert same(values, torch.where(present, best, torch.nan).double().expand(values.shape))


@quick
@given(cases())
def test_hausdorff_distance_is_the_least_tolerance_at_which_all_agrees(case):
    present, (_, largest, means) = case.present, found(case)
    for definition, distances in (("subvoxel", largest[0]), ("monai_border", largest[3])):
        for index in range(case.classes):
            if not present[0, index]:
                continue
            distance = distances[0, index].item()
            tolerances = [distance] * case.classes
            assert surface_dice(*case.masks, tolerances, case.spacing, definition=definition)[0, index] == 1
            if distance:
                below = np.nextafter(np.float32(distance), np.float32(0)) if definition != "subvoxel" else None
                tolerances = [float(np.nextafter(distance, 0) if below is None else below)] * case.classes
                assert surface_dice(*case.masks, tolerances, case.spacing, definition=definition)[0, index] < 1
    assert (largest[0] >= largest[1]).logical_or(~present).all()
    assert (largest[1] >= largest[2]).logical_or(~present).all()
    assert (largest[[0, 3]] * (1 + 1e-14) >= means[:2]).logical_or(~present).all()


@quick
@given(cases(), st.data())
def test_flips_change_nothing(case, data):
    axes = data.draw(st.sets(st.integers(2, case.dims + 1), min_size=1))
    flipped = case.map(lambda labels: labels.flip(tuple(axes)))
    for agree, one, other in zip((close, same, same), found(case), found(flipped), strict=True):
        assert agree(one, other)


@quick
@given(cases(), st.data())
def test_turns_by_90_degrees_change_nothing(case, data):
    first, second = data.draw(st.permutations(range(case.dims)))[:2]
    spacing = list(case.spacing)
    spacing[first], spacing[second] = spacing[second], spacing[first]
    turned = case.map(lambda labels: labels.rot90(1, (2 + first, 2 + second)))
    turned = replace(turned, spacing=tuple(spacing))
    straight, turned = found(case), found(turned)
    assert all(map(close, straight, turned))
    assert same(straight[1][:, case.present], turned[1][:, case.present])  # the diagonal of an image is rounded


@quick
@given(cases(), st.sampled_from([2.0**-4, 0.5, 2.0, 2.0**7]))
def test_unit_of_length_does_not_matter(case, unit):
    scaled = replace(
        case,
        spacing=tuple(size * unit for size in case.spacing),
        tolerances=tuple(tolerance * unit for tolerance in case.tolerances),
    )
    for factor, one, other in zip((1.0, unit, unit), found(case), found(scaled), strict=True):
        assert same(one * factor, other)


@quick
@given(cases(), st.data())
def test_room_around_the_image_does_not_matter(case, data):
    room = data.draw(st.lists(st.integers(0, 5), min_size=2 * case.dims, max_size=2 * case.dims))
    padded = case.map(lambda labels: torch.nn.functional.pad(labels, room))
    (share, *distances), (padded_share, *padded_distances) = found(case), found(padded)
    assert same(share, padded_share)
    for one, other in zip(distances, padded_distances, strict=True):  # the image's diagonal is another
        assert same(one[:, case.present], other[:, case.present])


@quick
@given(cases(), st.data())
def test_order_of_the_classes_does_not_matter(case, data):
    order = torch.tensor(data.draw(st.permutations(range(case.classes))))
    names = torch.cat([torch.zeros(1), 1.0 + order.argsort()]).to(torch.uint8)
    renamed = case.map(lambda labels: names[labels.long()])
    renamed = replace(renamed, tolerances=tuple(case.tolerances[index] for index in order))
    for one, other in zip(found(case), found(renamed), strict=True):
        assert same(one[..., order], other)


@quick
@given(cases(), st.integers(0, 10**6), st.integers(2, 5))
def test_batch_is_its_cases(case, seed, count):
    others = drawn(tuple(case.prediction.shape[2:]), case.classes, count - 1, seed)
    sides = zip(case.masks, others.masks, strict=True)
    batch = replace(case, **dict(zip(("prediction", "reference"), map(torch.cat, sides), strict=True)))
    alone = [found(batch.map(lambda labels, index=index: labels[[index]])) for index in range(count)]
    for together, each in zip(found(batch), zip(*alone, strict=True), strict=True):
        assert same(together, torch.cat(each, dim=1))


def test_more_cases_than_a_word_has_bits():
    batch = drawn((6, 9), classes=2, batch=200)
    alone = [found(batch.map(lambda labels, index=index: labels[[index]])) for index in range(0, 200, 7)]
    for together, each in zip(found(batch), zip(*alone, strict=True), strict=True):
        assert same(together[:, ::7], torch.cat(each, dim=1))


TINY = {
    "blocks of a plane": {(elements, "_BLOCK_VOXELS"): 1},
    "blocks of two maps": {(elements, "_BLOCK_VOXELS"): 4 * 8 * 16 * 8},
    "dense pass in pieces of three words": {(blocks, "_DENSE_VOXELS"): 24},
    "pieces of a few places": {(blocks, "_PIECE_PLACES"): 5},
    "elements found anew": {(elements, "_KEPT_ELEMENTS"): 0},
    "elements found anew after some": {(elements, "_KEPT_ELEMENTS"): 100, (elements, "_JOINED_ELEMENTS"): 50},
    "pieces not joined": {(elements, "_JOINED_ELEMENTS"): 1},
    "a bitmap at a time": {(grid, "_MOST_WORDS"): 1},
    "a few bitmaps at a time": {(grid, "_MOST_WORDS"): 50},
    "addresses found anew": {(within, "_KEPT_ADDRESSES"): 0},
    "neighbours one by one": {(within, "_AT_ONCE"): 0},
    "neighbours all at once": {(within, "_AT_ONCE"): 10**9},
    "one far element at a time": {(far, "_TOGETHER"): 1},
    "few far elements at a time": {(far, "_TOGETHER"): 5},
    "few candidates at a time": {(far, "_PAIRS"): 3},
    "distances measured": {(bricks, "MOST_NEIGHBOURS"): 0},
}
ALL = {key: value for changes in TINY.values() for key, value in changes.items()}
ALL |= {(blocks, "_PIECE_PLACES"): 40, (elements, "_BLOCK_VOXELS"): 1, (within, "_AT_ONCE"): 0, (far, "_TOGETHER"): 40}


def shrink(monkeypatch, changes: dict) -> None:
    for (module, name), value in changes.items():
        now = getattr(module, name)
        monkeypatch.setattr(module, name, dict.fromkeys(now, value) if isinstance(now, dict) else value)


CHUNKED = {
    "2D": drawn((7, 15), classes=3, batch=3),
    "3D": drawn((6, 5, 9), classes=2, batch=2, share=0.5),
    "2D sparse": drawn((40, 60), classes=2, batch=2, share=0.002),
    "3D sparse": drawn((30, 9, 17), classes=2, batch=2, share=0.0007),
}


@functools.lru_cache(maxsize=1)
def in_one_piece(case: Case) -> list[torch.Tensor]:
    return found(case)


def check_pieces(case: Case, changes: dict, monkeypatch) -> None:
    expected = in_one_piece(case)
    shrink(monkeypatch, changes)
    assert all(map(same, expected, found(case)))


@pytest.mark.parametrize("changes", TINY.values(), ids=TINY)
@pytest.mark.parametrize("case", CHUNKED.values(), ids=CHUNKED)
def test_pieces_of_the_work_do_not_matter(case, changes, monkeypatch):
    check_pieces(case, changes, monkeypatch)


@pytest.mark.parametrize("most_neighbours", [0, bricks.MOST_NEIGHBOURS], ids=["measured", "looked up"])
@pytest.mark.parametrize("case", [drawn((7, 9), 2, 2), drawn((3, 5, 4), 2, 2, share=0.5)], ids=["2D", "3D"])
def test_small_pieces_of_everything_do_not_matter(case, most_neighbours, monkeypatch):
    check_pieces(case, {**ALL, (bricks, "MOST_NEIGHBOURS"): most_neighbours}, monkeypatch)


@pytest.mark.parametrize("name", ["elements found anew", "pieces not joined", "distances measured"])
def test_pieces_of_the_work_on_many_classes_do_not_matter(name, monkeypatch):
    case = drawn((5, 6, 5), classes=270, batch=1, share=0.9)
    check_pieces(case, {**TINY[name], (grid, "_MOST_WORDS"): 5000}, monkeypatch)


@pytest.mark.parametrize(
    ("classes", "background"), [(255, False), (256, False), (600, False), (254, True), (255, True), (300, True)]
)
def test_many_classes_are_masks_of_their_own(classes, background):
    draw = torch.Generator().manual_seed(classes)
    first = 0 if background else 1
    labels = torch.arange(first, classes + 1)
    case = drawn((8, 11, 13), classes, batch=1)
    coarse = torch.randint(0, classes + 1, (2, 4, 6, 7), generator=draw).repeat_interleave(2, 1)
    coarse = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :11, :13]
    maps = [side[None, None].to(torch.int32) for side in coarse]
    tolerances = [0.5 + 0.75 * (index % 4) for index in labels.tolist()]
    for definition in DEFINITIONS:
        options = {"include_background": background, "definition": definition}
        together = surface_dice(*maps, tolerances, case.spacing, **options)
        alone = torch.empty_like(together)
        for remainder in range(4):  # classes of one tolerance in a batch
            some = labels[labels % 4 == remainder]
            masks = [(side[0] == some[:, None, None, None])[:, None] for side in maps]
            value = surface_dice(*masks, [0.5 + 0.75 * remainder], case.spacing, definition=definition)
            alone[0, some - first] = value[:, 0]
        assert same(together, alone)
    for metric in (HausdorffDistance, AverageSymmetricSurfaceDistance):
        together = metric(classes + 1, background)(*maps, spacing=case.spacing)
        masks = [(side[0] == labels[:, None, None, None])[:, None] for side in maps]
        assert same(together[0], metric(2)(*masks, spacing=case.spacing)[:, 0])


def strided(masks: torch.Tensor) -> torch.Tensor:
    """The same values, of which no two lie side by side in memory."""
    wide = masks.new_ones((*masks.shape[:-1], 2 * masks.shape[-1] + 1))
    wide[..., 1::2] = masks
    return wide[..., 1::2]


def turned(masks: torch.Tensor) -> torch.Tensor:
    """The same values with the last axis outermost in memory."""
    return masks.movedim(-1, 0).contiguous().movedim(0, -1)


def shifted(masks: torch.Tensor) -> torch.Tensor:
    """The same values, in memory behind one byte of something else."""
    return torch.cat([masks.new_ones(1), masks.flatten()])[1:].view(masks.shape)


DTYPES = (torch.uint8, torch.int8, torch.int32, torch.int64, torch.uint16, torch.float16, torch.bfloat16, torch.float64)


@pytest.mark.parametrize("shape", [(9, 14), (5, 6, 7), (1, 8), (4, 1, 1)], ids=str)
def test_forms_in_memory_do_not_matter(shape):
    case = drawn(shape, classes=3, batch=2)
    layout = torch.channels_last if len(shape) == 2 else torch.channels_last_3d
    expected = found(case)
    forms = [lambda masks, dtype=dtype: masks.to(dtype) for dtype in DTYPES]
    forms += [strided, turned, shifted, lambda masks: masks.to(memory_format=layout), MetaTensor]
    forms += [lambda masks: one_hot(masks.float(), 4), lambda masks: one_hot(masks, 4).to(memory_format=layout)]
    forms += [lambda masks: one_hot(masks, 4).bool(), lambda masks: turned(one_hot(masks, 4).half())]
    for form in forms:
        masks = [form(labels) for labels in case.masks]
        assert same(SurfaceDice(case.tolerances)(*masks, spacing=case.spacing), expected[0][0])
        assert same(HausdorffDistance(4)(*masks, spacing=case.spacing), expected[1][0])


def test_single_masks_of_booleans():
    case = drawn((9, 14), classes=1)
    masks = [labels.bool() for labels in case.masks]
    assert same(surface_dice(*masks, case.tolerances, case.spacing), shares(case)[0])
    assert same(surface_dice(*masks, case.tolerances, case.spacing, include_background=True), shares(case)[0])


def test_threads_compare_their_own_masks():
    work = [
        drawn(shape, 1 + seed % 3, 2, seed) for seed, shape in enumerate([(30, 40), (9, 10, 12), (40, 30), (64, 9)] * 3)
    ]
    expected = [found(case) for case in work]
    bricks._tolerance_masks.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(found, work * 2))
    for one, other in zip(results, expected * 2, strict=True):
        assert all(map(same, one, other))


def test_number_of_threads_of_pytorch_does_not_matter():
    work = drawn((300, 280), classes=2, batch=1), drawn((20, 30, 40), classes=2, batch=1)
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append([values for case in work for values in found(case)])
    finally:
        torch.set_num_threads(1)
    assert all(map(same, *results))
