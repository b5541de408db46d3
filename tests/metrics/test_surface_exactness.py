"""Surface metrics are exact: against the reference implementation and MONAI, at ties, from afar, on real masks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from monai.networks.utils import one_hot
from scipy import ndimage

from monai_seg.metrics.masks import mask_pair
from monai_seg.metrics.surface import (
    AverageSymmetricSurfaceDistance,
    HausdorffDistance,
    MeanAverageSurfaceDistance,
    bricks,
    surface_dice,
    within,
)
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.lattice import CORNERS
from monai_seg.metrics.surface.nearest import nearest_distances
from monai_seg.metrics.whole_sums import Values, whole_sums

try:
    import surface_distance
except ImportError:
    surface_distance = None

HIPPOCAMPI = Path(__file__).parents[3] / "shared/data/hippocampus/labelsTr"
pytestmark = [
    pytest.mark.skipif(
        surface_distance is None, reason="needs the package surface-distance, which pip install -e '.[dev]' brings"
    ),
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy"),
    pytest.mark.filterwarnings("ignore:.*is all 0, this may result in nan/inf distance"),
    pytest.mark.filterwarnings("ignore:.*namespace is deprecated:DeprecationWarning"),
]
SPACINGS = [
    (1.0, 1.0, 1.0),
    (0.1, 0.1, 0.1),
    (10.0, 10.0, 10.0),
    (0.5, 0.8, 5.0),
    (5.0, 0.3, 0.3),
    (1.0, 0.7, 2.0),
    (0.1, 10.0, 1.0),
    (3.3, 1.7, 0.9),
    (1 / 3, 2 / 7, 0.6),
    (0.1, 0.2, 0.3),
]
TOLERANCES = [0.0, 0.1, 0.3, 0.7, 1.0, math.sqrt(2), 2.0, 2.5, 3.0, 5.0, 7.5, 10.0, 13.0, 20.0]
KINDS = ("noise", "blobs", "sparse", "perturbed")
# Largest errors of values in [0, 1], and of distances in relation: of float64, and of MONAI's float32.
EXACT, SINGLE, SINGLE_RANK = 1e-12, 3e-7, 2e-6


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """On masks as small as these, the threads of PyTorch mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def numpy_1(monkeypatch):
    """The reference implementation asks NumPy for a name that version 2 has no more."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)


@pytest.fixture
def paths(monkeypatch) -> list[str]:
    """How each call of `counts_within` found its hits: looked up in bit masks, or measured."""
    taken, make = [], within.tolerance_masks

    def tolerance_masks(*arguments):
        masks = make(*arguments)
        taken.append("measured" if masks is None else "looked up")
        return masks

    monkeypatch.setattr(within, "tolerance_masks", tolerance_masks)
    return taken


@pytest.fixture(params=["looked up", "measured"])
def one_path(request, monkeypatch, paths) -> Iterator[str]:
    """All tolerances take one path, whatever they are."""
    monkeypatch.setattr(bricks, "MOST_NEIGHBOURS", 0 if request.param == "measured" else 10**6)
    yield request.param
    assert set(paths) == {request.param}


@dataclass(frozen=True)
class Batch:
    """Label maps ``(B, 1, *shape)`` with classes from 1 on, and the size of their voxels in mm."""

    prediction: torch.Tensor
    reference: torch.Tensor
    classes: int
    spacing: tuple[float, ...]

    def __len__(self) -> int:
        return self.prediction.shape[0] * self.classes

    @property
    def masks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fresh tensors, on which nothing was found yet."""
        return self.prediction.clone(), self.reference.clone()

    @property
    def channels(self) -> list[torch.Tensor]:
        return [one_hot(labels, self.classes + 1) for labels in (self.prediction, self.reference)]

    def one_class(self, case: int, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Prediction and reference of one class, from 1, as the reference implementation takes them."""
        return (self.prediction[case, 0] == label).numpy(), (self.reference[case, 0] == label).numpy()

    @property
    def present(self) -> np.ndarray:
        """Where both masks have the class: ``(B, C)``."""
        found = [[[mask.any() for mask in self.one_class(case, label)] for label in range(1, self.classes + 1)]
                 for case in range(self.prediction.shape[0])]  # fmt: skip
        return np.array(found).all(-1)


def drawn(kind: str, draw: np.random.Generator, shape: tuple[int, ...], classes: int) -> np.ndarray:
    if kind == "noise":
        return (draw.random(shape) < draw.choice([0.03, 0.4, 0.95])) * draw.integers(1, classes + 1, shape)
    if kind == "sparse":
        labels = np.zeros(shape, int)
        for label in range(1, classes + 1):
            for _ in range(draw.integers(1, 4)):
                labels[tuple(draw.integers(0, shape))] = label
        return labels
    fields = [ndimage.gaussian_filter(draw.standard_normal(shape), 2.0) for _ in range(classes)]
    return np.stack([np.full(shape, draw.choice([0.0, 0.1])), *fields]).argmax(0)


def perturbed(labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """As a model might predict them: moved a little, with ragged edges, a hole and a speck."""
    moved = np.roll(labels, draw.integers(-2, 3, labels.ndim), axis=tuple(range(labels.ndim)))
    ragged = np.where(draw.random(labels.shape) < 0.2, np.roll(moved, 1, axis=draw.integers(labels.ndim)), moved)
    for value in (0, labels.max()):
        corner = [draw.integers(0, side) for side in labels.shape]
        ragged[tuple(slice(start, start + draw.integers(1, 4)) for start in corner)] = value
    return ragged


def batch_of(kind: str, seed: int, shape: tuple[int, ...], spacing: tuple[float, ...], cases: int = 3) -> Batch:
    """Some cases, in which a class is missing now and then."""
    draw = np.random.default_rng(seed)
    classes = int(draw.integers(1, 4))
    pairs = []
    for _ in range(cases):
        reference = drawn("blobs" if kind == "perturbed" else kind, draw, shape, classes)
        prediction = perturbed(reference, draw) if kind == "perturbed" else drawn(kind, draw, shape, classes)
        for labels in (prediction, reference):
            if draw.random() < 0.15:
                labels[labels == draw.integers(1, classes + 1)] = 0
        pairs.append((prediction, reference))
    sides = [torch.from_numpy(np.stack(side)[:, None].astype(np.uint8)) for side in zip(*pairs, strict=True)]
    return Batch(*sides, classes, spacing[: len(shape)])


def hippocampi(draw: np.random.Generator, count: int) -> Iterator[Batch]:
    for path in draw.permutation(sorted(HIPPOCAMPI.glob("*.nii.gz")))[:count]:
        image = nib.load(path)
        labels = np.asarray(image.dataobj).astype(np.uint8)
        pair = [torch.from_numpy(each.astype(np.uint8))[None, None] for each in (perturbed(labels, draw), labels)]
        spacing = SPACINGS[draw.integers(len(SPACINGS))] if draw.random() < 0.5 else image.header.get_zooms()
        yield Batch(*pair, 2, tuple(map(float, spacing)))


class Errors(dict):
    """The largest error of each comparison, which is bounded."""

    def note(
        self, name: str, found: np.ndarray, expected: np.ndarray, bound: float, unit: np.ndarray | float = 1
    ) -> None:
        found, expected = np.asarray(found, float), np.asarray(expected, float)
        assert found.shape == expected.shape
        assert np.array_equal(np.isnan(found), np.isnan(expected)), name
        error = np.abs(found - expected) / np.maximum(unit, 1e-9)
        self[name] = max(self.get(name, 0.0), float(np.nanmax(error, initial=0.0)))
        assert self[name] <= bound, f"{name}: {found} instead of {expected}"

    def tell(self, record_property) -> None:
        for name, error in sorted(self.items()):
            record_property(name, error)


def reference_distances(batch: Batch) -> list[list[dict]]:
    """Distances and areas of each case and class by the reference implementation."""
    return [
        [
            surface_distance.compute_surface_distances(*batch.one_class(case, label)[::-1], batch.spacing)
            for label in range(1, batch.classes + 1)
        ]
        for case in range(batch.prediction.shape[0])
    ]


def reference_nsd(distances: list[list[dict]], tolerances: list[float]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.array(
            [
                [
                    surface_distance.compute_surface_dice_at_tolerance(*pair)
                    for pair in zip(row, tolerances, strict=True)
                ]
                for row in distances
            ]
        )


def check_surface_dice(
    batch: Batch, errors: Errors, draw: np.random.Generator, monai: bool = True, choice: Sequence[float] = TOLERANCES
) -> None:
    """All definitions with several tolerances for each class, against both packages."""
    distances = reference_distances(batch)
    for index in range(3):
        tolerances = draw.choice(choice, batch.classes).tolist()
        found = surface_dice(*batch.masks, tolerances, batch.spacing)
        errors.note("surface-distance", found, reference_nsd(distances, tolerances), EXACT)
        if not monai or index:
            continue
        for subvoxels, definition in ((True, "monai_subvoxel"), (False, "monai_border")):
            expected = compute_surface_dice(
                *batch.channels, tolerances, spacing=list(batch.spacing), use_subvoxels=subvoxels
            )
            found = surface_dice(*batch.masks, tolerances, batch.spacing, definition=definition)
            errors.note(f"MONAI use_subvoxels={subvoxels}", found, expected, SINGLE)


def percentile(distances: np.ndarray, areas: np.ndarray, percent: float) -> tuple[float, bool]:
    """Least distance within which so much of the area lies, summed exactly; and whether the area meets the share.

    It then meets it but for rounding, of areas and shares: to 1 in 10^12.
    """
    total = math.fsum(areas) * percent / 100
    cumulated = np.cumsum(areas)
    index = min(int(np.searchsorted(cumulated, total)), len(areas) - 1)
    for candidate in (index - 1, index):
        if candidate >= 0 and abs(math.fsum(areas[: candidate + 1]) - total) <= 1e-12 * total:
            return float(distances[candidate]), True
    return float(distances[index]), False


def check_percentiles(batch: Batch, distances: list[list[dict]], errors: Errors) -> int:
    """HD and its percentiles against the reference implementation; how often its answer hangs on rounding."""
    ties = 0
    for percent in (50, 95, 100):
        found = HausdorffDistance(batch.classes + 1, percentile=percent)(*batch.masks, spacing=batch.spacing)
        for case, index in np.argwhere(batch.present):
            one = distances[case][index]
            theirs = surface_distance.compute_robust_hausdorff(one, percent)
            sides = [
                percentile(one["distances_gt_to_pred"], one["surfel_areas_gt"], percent),
                percentile(one["distances_pred_to_gt"], one["surfel_areas_pred"], percent),
            ]
            exact = max(distance for distance, _ in sides)
            errors.note(f"surface-distance HD{percent}", found[case, index], exact, EXACT, exact)
            if theirs != exact:
                assert percent < 100
                assert any(tie for _, tie in sides)
                ties += 1
    return ties


def check_distances(batch: Batch, errors: Errors, monai: bool = True) -> int:
    """Hausdorff and average distances; how often a percentile of the reference implementation hangs on rounding."""
    distances, masks = reference_distances(batch), batch.masks
    ties = check_percentiles(batch, distances, errors)
    found = [kind(batch.classes + 1)(*masks, spacing=batch.spacing) for kind in AVERAGES]
    for case, index in np.argwhere(batch.present):
        one = distances[case][index]
        areas = [one["surfel_areas_gt"], one["surfel_areas_pred"]]
        moments = [one["distances_gt_to_pred"] @ areas[0], one["distances_pred_to_gt"] @ areas[1]]
        assd = sum(moments) / (areas[0].sum() + areas[1].sum())
        masd = np.mean(surface_distance.compute_average_surface_distance(one))
        for name, values, expected in zip(("ASSD", "MASD"), found, (assd, masd), strict=True):
            errors.note(f"surface-distance {name}", values[case, index], expected, EXACT, expected)
    check_border_distances(batch, errors)
    if monai:
        check_distances_of_monai(batch, errors)
    return ties


AVERAGES = (AverageSymmetricSurfaceDistance, MeanAverageSurfaceDistance)
PERCENTILES = ((None, False), (95, False), (95, True), (30, False))


def check_border_distances(batch: Batch, errors: Errors) -> None:
    """Distances between border voxels, as MONAI defines them, worked out in float64."""
    masks, options = batch.masks, {"num_classes": batch.classes + 1, "definition": "monai_border"}
    metrics = [HausdorffDistance(percentile=percent, directed=directed, **options) for percent, directed in PERCENTILES]
    found = [metric(*masks, spacing=batch.spacing) for metric in metrics + [kind(**options) for kind in AVERAGES]]
    for case, index in np.argwhere(batch.present):
        borders = [mask & ~ndimage.binary_erosion(mask) for mask in batch.one_class(case, index + 1)]
        fields = [ndimage.distance_transform_edt(~border, sampling=batch.spacing) for border in borders]
        there, back = fields[1][borders[0]], fields[0][borders[1]]
        expected = [
            np.percentile(there, percent or 100)
            if directed
            else max(np.percentile(side, percent or 100) for side in (there, back))
            for percent, directed in PERCENTILES
        ]
        expected += [np.concatenate([there, back]).mean(), (there.mean() + back.mean()) / 2]
        names = [f"border voxels HD{percent or 100}" for percent, _ in PERCENTILES]
        names += ["border voxels ASSD", "border voxels MASD"]
        for name, values, value in zip(names, found, expected, strict=True):
            errors.note(name, values[case, index], value, EXACT, value)


def check_distances_of_monai(batch: Batch, errors: Errors) -> None:
    channels, present, options = batch.channels, batch.present, {"spacing": list(batch.spacing)}
    masks, ours = batch.masks, {"num_classes": batch.classes + 1, "definition": "monai_border"}
    # MONAI rounds distances and ranks to float32: its error goes with the largest distance.
    largest = HausdorffDistance(**ours)(*masks, spacing=batch.spacing)[present].numpy()
    for percent, directed in PERCENTILES:
        expected = compute_hausdorff_distance(*channels, percentile=percent, directed=directed, **options)
        found = HausdorffDistance(percentile=percent, directed=directed, **ours)(*masks, spacing=batch.spacing)
        errors.note(f"MONAI HD{percent or 100}", found[present], expected[present], SINGLE_RANK, largest)
    both = [compute_average_surface_distance(*sides, **options) for sides in (channels, channels[::-1])]
    symmetric = compute_average_surface_distance(*channels, symmetric=True, **options)
    for kind, expected in zip(AVERAGES, (symmetric, (both[0] + both[1]) / 2), strict=True):
        found = kind(**ours)(*masks, spacing=batch.spacing)
        errors.note(f"MONAI {kind.__name__}", found[present], expected[present], SINGLE, largest)


SHAPES = {2: [(19, 23), (1, 40), (37, 8), (1, 1)], 3: [(9, 11, 10), (14, 1, 9), (6, 17, 7), (1, 1, 12)]}


@pytest.mark.parametrize("dims", [2, 3])
def test_surface_dice_of_both_packages(dims, paths, record_property):
    draw, errors, pairs = np.random.default_rng(dims), Errors(), 0
    for seed, (kind, spacing) in enumerate(zip(itertools.cycle(KINDS), SPACINGS, strict=False)):
        batch = batch_of(kind, seed, SHAPES[dims][seed // 2 % 4], spacing)
        check_surface_dice(batch, errors, draw, monai=seed % 2 == 0)
        pairs += len(batch)
    far = batch_of("sparse", 7, (24, 27, 25) if dims == 3 else (150, 130), (0.1, 0.1, 0.1), cases=1)
    check_surface_dice(far, errors, draw, choice=(13.0, 20.0))
    assert set(paths) == {"looked up", "measured"}
    assert pairs >= 50
    errors.tell(record_property)


@pytest.mark.parametrize("dims", [2, 3])
def test_distances_of_both_packages(dims, record_property):
    errors, pairs = Errors(), 0
    for seed, (kind, spacing) in enumerate(zip(itertools.cycle(KINDS), SPACINGS, strict=False)):
        batch = batch_of(kind, seed + 100, SHAPES[dims][seed // 2 % 4], spacing)
        check_distances(batch, errors, monai=seed % 3 == 0)
        pairs += len(batch)
    assert pairs >= 50
    errors.tell(record_property)


def two_structures(shape: tuple[int, ...], spacing: tuple[float, ...], axes: tuple[int, ...] | None = None) -> Batch:
    """Small structures at opposite ends of an image, along some axes; else in the middle."""
    axes = tuple(range(len(shape))) if axes is None else axes
    sides = []
    for end in (0, 1):
        labels = np.zeros(shape, np.uint8)
        corner = [(end * (side - 3) if axis in axes else side // 2) for axis, side in enumerate(shape)]
        labels[tuple(slice(start, start + 3) for start in corner)] = 1
        labels[tuple(start + 1 + end for start in corner)] = 2
        labels[tuple(side // 3 + end for side in shape)] = 3
        sides.append(torch.from_numpy(labels)[None, None])
    return Batch(sides[0], sides[1], 3, spacing)


FAR = [
    ((300, 310), (1.0, 1.0), None),
    ((700, 40), (0.3, 5.0), (0,)),
    ((3, 900), (5.0, 0.1), None),
    ((50, 40, 70), (1.0, 1.0, 1.0), None),
    ((60, 70, 6), (0.5, 0.8, 5.0), (1,)),
    ((5, 6, 300), (10.0, 3.3, 0.1), (2,)),
]


@pytest.mark.parametrize(("shape", "spacing", "axes"), FAR, ids=str)
def test_structures_far_from_each_other(shape, spacing, axes, record_property):
    batch, errors = two_structures(shape, spacing, axes), Errors()
    check_distances(batch, errors, monai=len(shape) == 2)
    for tolerance in (0.5, 20.0, 150.0, 1e4):
        expected = reference_nsd(reference_distances(batch), [tolerance] * 3)
        errors.note("surface-distance", surface_dice(*batch.masks, [tolerance] * 3, spacing), expected, EXACT)
    errors.tell(record_property)


@pytest.mark.parametrize("shape", [(90, 110), (25, 30, 35), (1, 500), (200, 1, 3)], ids=str)
def test_each_distance_between_sparse_points(shape):
    """Not only what is averaged or ranked of them: the sorted distances of each side, to the last bit."""
    for seed, spacing in enumerate(SPACINGS):
        batch = batch_of("sparse", seed, shape, spacing, cases=2)
        elements = SurfaceElements(mask_pair(*batch.masks, batch.classes + 1), CORNERS)
        parts = list(nearest_distances(elements, [0, 1], batch.spacing))
        surface, distance = (torch.cat([part[index] for part in parts]).numpy() for index in (0, 2))
        expected = reference_distances(batch)
        for case, index in itertools.product(range(2), range(batch.classes)):
            for side, name in enumerate(("distances_pred_to_gt", "distances_gt_to_pred")):
                found = np.sort(distance[surface == (case * batch.classes + index) * 2 + side])
                assert np.array_equal(found, expected[case][index][name])


def ties(batch: Batch, draw: np.random.Generator) -> Iterator[list[float]]:
    """Tolerances for each class that equal one of the distances between its surfaces, or are next to it."""
    distances = reference_distances(batch)[0]
    chosen = []
    for each in distances:
        achieved = np.concatenate([each["distances_gt_to_pred"], each["distances_pred_to_gt"]])
        achieved = np.unique(achieved[np.isfinite(achieved)])
        chosen.append(float(draw.choice(achieved)) if achieved.size else 1.0)
    yield chosen
    yield [float(np.nextafter(value, np.inf)) for value in chosen]
    yield [max(0.0, float(np.nextafter(value, -np.inf))) for value in chosen]


def check_ties(count: int, errors: Errors) -> tuple[int, int]:
    """Compare at so many ties; how many there were, and at how many of them the last digit of the tolerance counts."""
    draw, seen, decisive = np.random.default_rng(count), 0, 0
    while seen < count:
        shape = [(25, 31), (9, 12, 10), (40, 1, 17)][seen // 3 % 3]
        batch = batch_of(KINDS[seen // 2 % 4], int(draw.integers(2**31)), shape, SPACINGS[seen % 10], cases=1)
        distances, values = reference_distances(batch), []
        for tolerances in ties(batch, draw):
            found = surface_dice(*batch.masks, tolerances, batch.spacing)
            errors.note("surface-distance", found, reference_nsd(distances, tolerances), EXACT)
            values.append(found.numpy())
        assert not (values[0] > values[1]).any()
        decisive += int((values[2] < values[0]).sum())
        seen += int(batch.present.sum())
    return seen, decisive


def test_tolerances_that_equal_a_distance(one_path, record_property):
    errors = Errors()
    seen, decisive = check_ties(30, errors)
    assert decisive > seen / 3
    errors.tell(record_property)


@pytest.mark.parametrize("definition", ["monai_subvoxel", "monai_border"])
def test_ties_of_single_precision_are_those_of_monai(definition, one_path):
    draw, errors, subvoxels = np.random.default_rng(1), Errors(), definition == "monai_subvoxel"
    for seed, spacing in enumerate(SPACINGS[3:9]):
        batch = batch_of("perturbed", seed, [(15, 18), (7, 8, 6)][seed % 2], spacing, cases=1)
        # The distances of border voxels are others, but of the same lattice.
        exact = np.float32(next(ties(batch, draw)))
        for tolerances in (exact, np.nextafter(exact, np.float32(0)), np.nextafter(exact, np.float32(np.inf))):
            tolerances = tolerances.astype(float).tolist()
            expected = compute_surface_dice(
                *batch.channels, tolerances, spacing=list(batch.spacing), use_subvoxels=subvoxels
            )
            found = surface_dice(*batch.masks, tolerances, batch.spacing, definition=definition)
            errors.note(definition, found, expected, SINGLE)


def test_percentile_that_is_met_exactly_is_not_missed_by_rounding():
    """Single pixels in a row, of which the other mask has the first: 80 equal elements at 40 distances, two at each."""
    row = torch.zeros(1, 1, 3, 60, dtype=torch.uint8)
    row[..., 1, ::3] = 1
    first = row.clone()
    first[..., 1:] = 0
    for spacing in ((1.0, 1.0), (0.7, 0.1), (0.1, 0.3), (1 / 3, 10.0)):
        columns = np.array([0, 0, *(column - 1 for pixel in range(3, 60, 3) for column in (pixel, pixel + 1))])
        distances = np.repeat(columns * spacing[1], 2)
        for count in range(2, 80, 2):
            for share, distance in ((count / 80, distances[count - 1]), (count / 80 + 1e-9, distances[count])):
                metric = HausdorffDistance(2, percentile=100 * share, directed=True)
                assert metric(row, first, spacing=spacing).item() == distance


def test_percentile_does_not_depend_on_the_rest_of_the_batch():
    draw = np.random.default_rng(0)
    large = (draw.random((2, 1, 1, 700, 600)) < 0.5).astype(np.uint8)
    small = np.zeros((2, 60, 1, 700, 600), np.uint8)
    small[..., 5:11, 5:11] = draw.random((2, 60, 1, 6, 6)) < 0.06
    metric = HausdorffDistance(2, percentile=50)
    alone = [torch.from_numpy(side[..., :12, :12].copy()) for side in small]
    both = [torch.from_numpy(np.concatenate(sides)) for sides in zip(large, small, strict=True)]
    present = torch.stack([side.bool().flatten(1).any(1) for side in alone]).all(0)
    assert present.sum() > 30
    found, expected = metric(*both, spacing=(0.1, 0.3))[1:], metric(*alone, spacing=(0.1, 0.3))
    assert torch.equal(found[present], expected[present])


def test_sums_of_millions_are_exact_in_any_order():
    draw = torch.Generator().manual_seed(0)
    owner = torch.arange(3).repeat_interleave(torch.tensor([1_200_000, 300_000, 1000]))
    value = torch.full(owner.shape, 0.7, dtype=torch.float64)
    value[1_200_000:] = torch.rand(301_000, generator=draw, dtype=torch.float64) * torch.tensor(2.0) ** (
        owner[1_200_000:] * 9
    )
    expected = [math.fsum(value[owner == index].tolist()) for index in range(3)]
    order = torch.randperm(owner.shape[0], generator=draw)
    for some in (torch.arange(owner.shape[0]), order):
        pieces = [Values(owner[each], value[each], 1000.0) for each in some.split(400_000)]
        assert whole_sums(pieces, 3, owner.device).tolist() == pytest.approx(expected, rel=3e-16)
    infinite = Values(torch.tensor([0, 0, 1]), torch.tensor([0.1, math.inf, 0.0], dtype=torch.float64), 0.3)
    assert whole_sums([infinite], 3, owner.device).tolist() == pytest.approx([0.1, 0.0, 0.0], rel=1e-16)


@pytest.mark.slow
def test_campaign_of_surface_dice(paths, record_property):
    draw, errors, pairs = np.random.default_rng(20), Errors(), 0
    for seed, (kind, spacing, dims) in enumerate(itertools.product(KINDS, SPACINGS, (2, 3))):
        for shape, cases in zip(CAMPAIGN[dims], (1, 6, 3), strict=True):
            batch = batch_of(kind, 1000 + seed, shape, spacing, cases)
            choice = TOLERANCES[-5:] if max(spacing) < 1 else TOLERANCES
            check_surface_dice(batch, errors, draw, monai=shape is CAMPAIGN[dims][1], choice=choice)
            pairs += len(batch)
    assert min(paths.count("looked up"), paths.count("measured")) > 40
    assert pairs >= 1400
    for name in set(paths):
        record_property(name, paths.count(name))
    record_property("pairs", pairs)
    errors.tell(record_property)


CAMPAIGN = {2: [(140, 120), (21, 18), (30, 1)], 3: [(21, 24, 22), (8, 9, 11), (1, 17, 5)]}


@pytest.mark.slow
def test_campaign_of_distances(record_property):
    errors, pairs, at_ties = Errors(), 0, 0
    for seed, (kind, spacing, dims) in enumerate(itertools.product(KINDS, SPACINGS, (2, 3))):
        for shape, cases in zip(CAMPAIGN[dims], (1, 3, 1), strict=True):
            batch = batch_of(kind, 5000 + seed, shape, spacing, cases)
            at_ties += check_distances(batch, errors, monai=shape is CAMPAIGN[dims][1] and seed % 2 == 0)
            pairs += len(batch)
    for shape, spacing, axes in (((1500, 1300), (0.3, 5.0), None), ((150, 140, 160), (1.0, 0.7, 2.0), None)):
        check_distances(two_structures(shape, spacing, axes), errors, monai=False)
    assert pairs >= 600
    record_property("pairs", pairs)
    record_property("answers of the reference implementation that hang on rounding", at_ties)
    errors.tell(record_property)


@pytest.mark.slow
@pytest.mark.skipif(not HIPPOCAMPI.is_dir(), reason=f"needs the hippocampus masks in {HIPPOCAMPI}")
def test_campaign_of_hippocampi(record_property):
    draw, errors, pairs, at_ties = np.random.default_rng(3), Errors(), 0, 0
    for batch in hippocampi(draw, 40):
        check_surface_dice(batch, errors, draw, monai=pairs % 4 == 0)
        at_ties += check_distances(batch, errors, monai=pairs % 8 == 0)
        pairs += len(batch)
    assert pairs == 80
    record_property("answers of the reference implementation that hang on rounding", at_ties)
    errors.tell(record_property)


@pytest.mark.slow
def test_campaign_of_ties(one_path, record_property):
    errors = Errors()
    seen, decisive = check_ties(1000, errors)
    assert decisive > seen / 3
    record_property("ties", seen)
    record_property("ties at which the last digit decides", decisive)
    errors.tell(record_property)
