"""Instances: hand-worked hits and misses, against a plain matching with SciPy, invariances and empty masks."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from monai_seg.metrics import instances
from monai_seg.metrics.lesions import (
    LesionF1,
    LesionPrecision,
    LesionRecall,
    PanopticQuality,
    RecognitionQuality,
    SegmentationQuality,
)

quick = settings(deadline=None, max_examples=60, derandomize=True)
CLASSES = 3
ALL = (LesionF1, LesionPrecision, LesionRecall, RecognitionQuality, SegmentationQuality, PanopticQuality)
LOOSE = ALL[:3]
PAIRS = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7).flatmap(
    lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, CLASSES - 1))] * 2)
)


def batched(*maps: np.ndarray | list) -> list[torch.Tensor]:
    return [torch.as_tensor(np.array(labels))[None, None] for labels in maps]


def row(text: str) -> list[list[int]]:
    """One row of voxels; a dot is background."""
    return [[0 if voxel == "." else int(voxel) for voxel in text]]


def value(metric_class, prediction, reference, num_classes=2, **options) -> list[float]:
    return metric_class(num_classes, **options)(*batched(prediction, reference))[0].tolist()


def by_scipy(prediction, reference, label, connectivity, iou_threshold) -> dict:
    """All metrics of one class in exact fractions, from one mask for each instance."""
    structure = ndimage.generate_binary_structure(prediction.ndim, connectivity)
    sides = []
    for labels in (prediction, reference):
        parts, count = ndimage.label(labels == label, structure)
        masks = [parts == number for number in range(1, count + 1)]
        sides.append(sorted(masks, key=lambda mask: int(mask.argmax())))
    predicted, referred = (len(side) for side in sides)
    pairs = []
    for (i, a), (j, b) in itertools.product(*(enumerate(side) for side in sides)):
        if (a & b).any():
            pairs.append((-Fraction(int((a & b).sum()), int((a | b).sum())), i, j))
    matches = []
    for iou, i, j in sorted(pairs):
        if iou_threshold is None:
            matches.append((0, i, j))
        elif -iou > iou_threshold and all(i != k and j != m for _, k, m in matches):
            matches.append((-iou, i, j))
    right, found = len({i for _, i, _ in matches}), len({j for _, _, j in matches})
    if not predicted or not referred:
        worst = 0.0 if predicted or referred else math.nan
        return dict.fromkeys(ALL, worst)
    precision, recall = Fraction(right, predicted), Fraction(found, referred)
    recognition = Fraction(2 * found, predicted + referred)
    segmentation = sum(iou for iou, _, _ in matches) / Fraction(found) if found else Fraction(0)
    return {
        LesionF1: float(2 * precision * recall / (precision + recall)) if found else 0.0,
        LesionPrecision: float(precision),
        LesionRecall: float(recall),
        RecognitionQuality: float(recognition),
        SegmentationQuality: float(segmentation),
        PanopticQuality: float(segmentation * recognition),
    }


# Reference: four lesions of 4, 3, 2 and 4 voxels.
REFERENCE = row("1111.111..11..1111...")
# One voxel short, shifted by one, missed, split in two, and one spurious: IoU 3/4, 2/4, -, 2/4 and 1/4.
PREDICTION = row("111...111.....11.1..1")


@pytest.mark.parametrize(
    ("iou_threshold", "right", "found", "iou"),
    [
        pytest.param(None, 4, 3, 0, id="any overlap: both halves are right"),
        pytest.param(0, 3, 3, Fraction(3, 4) + Fraction(1, 2) + Fraction(1, 2), id="greatest half of the split one"),
        pytest.param(0.49, 3, 3, Fraction(7, 4), id="just below"),
        pytest.param(0.5, 1, 1, Fraction(3, 4), id="half is not more than half"),
        pytest.param(0.75, 0, 0, 0, id="none"),
    ],
)
def test_hit_shifted_missed_split_and_spurious_lesion(iou_threshold, right, found, iou):
    options = {"iou_threshold": iou_threshold}
    assert value(LesionPrecision, PREDICTION, REFERENCE, **options) == [right / 5]
    assert value(LesionRecall, PREDICTION, REFERENCE, **options) == [found / 4]
    precision, recall = Fraction(right, 5), Fraction(found, 4)
    harmonic = float(2 * precision * recall / (precision + recall)) if found else 0.0
    assert value(LesionF1, PREDICTION, REFERENCE, **options) == [harmonic]
    if iou_threshold is not None:
        assert value(RecognitionQuality, PREDICTION, REFERENCE, **options) == [harmonic]
        assert value(SegmentationQuality, PREDICTION, REFERENCE, **options) == [float(iou / found) if found else 0.0]
        assert value(PanopticQuality, PREDICTION, REFERENCE, **options) == pytest.approx([float(2 * iou / 9)])


def test_merged_lesions_are_one_find_or_two():
    reference, merged = row("111.1111"), row("11111111")
    assert value(LesionRecall, merged, reference, iou_threshold=None) == [1.0]
    assert value(LesionPrecision, merged, reference, iou_threshold=None) == [1.0]
    # IoU 3/8 and 4/8: one to one, only the larger of both can be found.
    assert value(LesionRecall, merged, reference, iou_threshold=0.3) == [0.5]
    assert value(LesionPrecision, merged, reference, iou_threshold=0.3) == [1.0]
    assert value(SegmentationQuality, merged, reference, iou_threshold=0.3) == [0.5]
    assert value(LesionF1, merged, reference) == [0.0]


def test_best_pair_first_may_leave_a_worse_one_without_partner():
    reference, prediction = row("111111.11"), row("1.1111111")
    # IoU: 1/6 on the left; 4/9 in the middle, which is taken; 2/7 on the right.
    assert value(SegmentationQuality, prediction, reference, iou_threshold=0.1) == [4 / 9]
    assert value(RecognitionQuality, prediction, reference, iou_threshold=0.1) == [0.5]


def test_equal_pairs_are_taken_in_the_order_of_their_first_voxels():
    # IoU 1/5 three times in a chain: from its end on they make two matches, from the middle they would make one.
    reference, prediction = row("111.111.."), row("..111.111")
    assert value(RecognitionQuality, prediction, reference, iou_threshold=0.1) == [1.0]
    assert value(SegmentationQuality, prediction, reference, iou_threshold=0.1) == [0.2]


def test_corners_join_unless_connectivity_says_faces():
    reference = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    prediction = [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert value(LesionRecall, prediction, reference) == [0.0]
    assert value(LesionRecall, prediction, reference, iou_threshold=None) == [1.0]
    assert value(LesionRecall, prediction, reference, connectivity=1) == [2 / 3]
    assert value(LesionRecall, prediction, reference, connectivity=2) == [0.0]


def test_instances_of_different_classes_do_not_match():
    assert value(LesionF1, row("11.22.11"), row("11.11.22"), 3, iou_threshold=None) == [0.5, 0.0]


@quick
@given(PAIRS, st.sampled_from([None, 0, 0.1, 0.25, 1 / 3, 0.5, 0.75]), st.booleans())
def test_agrees_with_a_plain_matching(maps, iou_threshold, faces):
    prediction, reference = maps
    connectivity = 1 if faces else prediction.ndim
    expected = [by_scipy(prediction, reference, label, connectivity, iou_threshold) for label in range(1, CLASSES)]
    for metric_class in LOOSE if iou_threshold is None else ALL:
        options = {"iou_threshold": iou_threshold, "connectivity": 1 if faces else None}
        found = value(metric_class, prediction, reference, CLASSES, **options)
        assert found == pytest.approx([each[metric_class] for each in expected], rel=1e-15, nan_ok=True)


def scattered(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two cases with dozens of lesions, which the prediction partly shifts and perforates."""
    draw = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(draw.standard_normal((2, 24, 24, 16)), (0, 1.2, 1.2, 1.2))
    reference = (smooth > smooth.std()) * np.repeat([1, 2], 8)
    prediction = np.where(np.arange(24)[:, None] < 8, np.roll(reference, 1, axis=2), reference)
    prediction = prediction * (draw.random(reference.shape) < 0.9)
    return torch.from_numpy(prediction)[:, None], torch.from_numpy(reference)[:, None]


@pytest.mark.parametrize(
    ("metric_class", "iou_threshold"), [*itertools.product(ALL, [0.5, 0.6]), *itertools.product(LOOSE, [None])]
)
def test_orientation_batching_and_order_of_classes_do_not_matter(metric_class, iou_threshold):
    prediction, reference = scattered()
    metric = metric_class(CLASSES, iou_threshold=iou_threshold)
    whole = metric(prediction, reference)
    assert 0 < whole.min() < whole.max() < 1
    for turn in (lambda x: x.flip(2), lambda x: x.flip(2, 3, 4), lambda x: x.rot90(1, (2, 3)), lambda x: x.mT):
        assert torch.equal(metric(turn(prediction), turn(reference)), whole)
    single = [metric(prediction[case, None], reference[case, None]) for case in range(2)]
    assert torch.equal(torch.cat(single), whole)
    assert torch.equal(metric(list(prediction), list(reference)), whole)
    swapped = [torch.tensor([0, 2, 1])[labels] for labels in (prediction, reference)]
    assert torch.equal(metric(*swapped), whole.flip(1))


@pytest.mark.parametrize("metric_class", ALL)
def test_channels_may_overlap(metric_class):
    prediction, reference = scattered()
    maps = [torch.cat([labels == 1, labels > 0], 1) for labels in (prediction, reference)]
    channels = metric_class(include_background=True)(*maps)
    alone = [metric_class(1, include_background=True)(*(mask[:, [k]] for mask in maps)) for k in range(2)]
    assert torch.equal(channels, torch.cat(alone, 1))
    apart = [torch.cat([labels == label for label in range(CLASSES)], 1) for labels in (prediction, reference)]
    assert torch.equal(metric_class()(*apart), metric_class(CLASSES)(prediction, reference))


@pytest.mark.parametrize("metric_class", ALL)
def test_empty_masks(metric_class):
    prediction = torch.tensor([[1, 0], [0, 0], [0, 0]])[:, None, None]
    reference = torch.tensor([[0, 0], [0, 1], [0, 0]])[:, None, None]
    values = metric_class(2)(prediction, reference)
    assert values.dtype == torch.float64
    assert values.flatten().tolist() == pytest.approx([0.0, 0.0, math.nan], nan_ok=True)
    assert value(metric_class, [[1]], [[1]]) == [1.0]


def test_what_several_metrics_need_is_found_once(monkeypatch):
    calls = []
    original = instances.find_runs
    monkeypatch.setattr(instances, "find_runs", lambda labels: (calls.append(1), original(labels))[1])
    prediction, reference = scattered(1)
    metrics = [metric_class(CLASSES) for metric_class in ALL] + [LesionF1(CLASSES, iou_threshold=None)]
    values = [metric(prediction, reference) for metric in metrics]
    assert len(calls) == 1
    assert torch.equal(values[0], values[3])
    torch.testing.assert_close(values[5], values[3] * values[4], rtol=1e-15, atol=0)


def test_mean_is_over_defined_cases():
    metric = LesionRecall(2)
    metric(*batched(row("1.1"), row("1.1")))
    metric(*batched(row("..."), row("1.1")))
    metric(*batched(row("..."), row("...")))
    assert metric.aggregate().item() == 0.5


@pytest.mark.parametrize("metric_class", ALL)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_threshold": 1.0}, r"iou_threshold is 1\.0; give a number from 0 to less than 1"),
        ({"iou_threshold": -0.1}, r"iou_threshold is -0\.1"),
        ({"iou_threshold": math.nan}, "iou_threshold is nan"),
        ({"connectivity": 0}, r"connectivity is 0; give 1 \(faces\)"),
    ],
)
def test_impossible_options_name_the_value_and_the_range(metric_class, options, message):
    with pytest.raises(ValueError, match=message):
        metric_class(2, **options)


def test_connectivity_beyond_the_axes_and_quality_without_threshold_are_refused():
    with pytest.raises(ValueError, match="connectivity is 3; maps with 2 axes have 1"):
        value(LesionF1, [[1]], [[1]], connectivity=3)
    for metric_class in ALL[3:]:
        with pytest.raises(
            ValueError, match=f"{metric_class.__name__} needs one-to-one matches: give an iou_threshold"
        ):
            metric_class(2, iou_threshold=None)
