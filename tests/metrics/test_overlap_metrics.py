"""Dice, IoU and accuracy: hand-worked, against MONAI, as properties of any pair of label maps, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.metrics import DiceMetric, compute_iou
from monai.networks.utils import one_hot

from monai_seg.metrics import Accuracy, Dice, IoU

CLASSES = 3
PAIRS = array_shapes(min_dims=2, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, CLASSES - 1))] * 2)
)
METRICS = pytest.mark.parametrize("metric_class", [Dice, IoU, Accuracy])
quick = settings(deadline=None, max_examples=40, derandomize=True)


def batched(*maps: np.ndarray | list) -> list[torch.Tensor]:
    return [torch.as_tensor(np.array(labels))[None, None] for labels in maps]


def values(metric_class, prediction, reference, **options) -> list[float]:
    return metric_class(num_classes=options.pop("num_classes", CLASSES), **options)(prediction, reference)[0].tolist()


def test_hand_worked_2d_case():
    prediction, reference = batched([[1, 1, 0], [2, 0, 0]], [[1, 0, 0], [1, 0, 2]])
    # Class 1: one voxel in both, two in each. Class 2: none in both, one in each.
    # Background: two in both, three in each.
    assert values(Dice, prediction, reference) == [0.5, 0.0]
    assert values(IoU, prediction, reference) == [1 / 3, 0.0]
    assert values(Accuracy, prediction, reference) == [4 / 6, 4 / 6]
    assert values(Dice, prediction, reference, include_background=True) == [2 / 3, 0.5, 0.0]


@pytest.mark.parametrize(
    ("prediction", "reference", "dice", "accuracy"),
    [
        pytest.param([[1]], [[1]], 1.0, 1.0, id="one voxel, hit"),
        pytest.param([[0]], [[1]], 0.0, 0.0, id="one voxel, missed"),
        pytest.param([[1]], [[0]], 0.0, 0.0, id="one voxel, false alarm"),
        pytest.param([[0]], [[0]], math.nan, 1.0, id="one voxel, rightly empty"),
        pytest.param([[1, 1], [1, 1]], [[1, 0], [0, 0]], 0.4, 0.25, id="all against one"),
    ],
)
def test_empty_and_one_voxel_masks(prediction, reference, dice, accuracy):
    maps = batched(prediction, reference)
    iou = dice / (2 - dice)
    assert values(Dice, *maps, num_classes=2) == pytest.approx([dice], nan_ok=True)
    assert values(IoU, *maps, num_classes=2) == pytest.approx([iou], nan_ok=True)
    assert values(Accuracy, *maps, num_classes=2) == [accuracy]


@quick
@given(PAIRS)
def test_agrees_with_monai_where_both_masks_hold_the_class(maps):
    prediction, reference = batched(*maps)
    channels = [one_hot(labels, CLASSES) for labels in (prediction, reference)]
    both = torch.stack([channel.flatten(2).sum(2)[0] > 0 for channel in channels]).all(0)
    dice = Dice(CLASSES, include_background=True)(prediction, reference)[0]
    iou = IoU(CLASSES, include_background=True)(prediction, reference)[0]
    torch.testing.assert_close(dice[both].float(), DiceMetric(reduction="none")(*channels)[0][both])
    torch.testing.assert_close(iou[both].float(), compute_iou(*channels)[0][both])


@quick
@given(PAIRS)
def test_any_pair_is_symmetric_bounded_and_joined_by_the_closed_form(maps):
    prediction, reference = batched(*maps)
    for metric_class in (Dice, IoU, Accuracy):
        there = values(metric_class, prediction, reference, include_background=True)
        back = values(metric_class, reference, prediction, include_background=True)
        assert there == pytest.approx(back, abs=0, nan_ok=True)
        assert all(0 <= value <= 1 for value in there if not math.isnan(value))
    dice, iou = (torch.tensor(values(each, prediction, reference)) for each in (Dice, IoU))
    torch.testing.assert_close(iou, dice / (2 - dice), equal_nan=True)
    absent = [not any((labels == label).any() for labels in (prediction, reference)) for label in range(1, CLASSES)]
    assert torch.isnan(dice).tolist() == absent


@quick
@given(PAIRS)
def test_perfect_prediction_is_one_or_undefined(maps):
    (reference,) = batched(maps[0])
    for metric_class in (Dice, IoU):
        scores = values(metric_class, reference, reference.clone(), include_background=True)
        assert scores == pytest.approx(
            [1.0 if (reference == label).any() else math.nan for label in range(CLASSES)], nan_ok=True
        )


@METRICS
def test_dtype_batch_and_list_do_not_matter(metric_class):
    draw = torch.Generator().manual_seed(0)
    prediction, reference = torch.randint(0, CLASSES, (2, 3, 1, 4, 5, 2), generator=draw)
    whole = metric_class(CLASSES)(prediction, reference)
    assert whole.shape == (3, CLASSES - 1)
    for dtype in (torch.uint8, torch.float32, torch.float64):
        assert torch.equal(metric_class(CLASSES)(prediction.to(dtype), reference.to(dtype)), whole)
    listed = metric_class(CLASSES)(list(prediction), list(reference))
    assert torch.equal(listed, whole)


def test_counts_stay_exact_where_float32_would_round():
    # 2**24 + 2 voxels: a float32 count cannot tell them from 2**24 + 1.
    reference = torch.ones(1, 1, 2**24 + 2, 1, dtype=torch.uint8)
    prediction = reference.clone()
    prediction[0, 0, 0, 0] = 0
    total = 2**24 + 2
    assert values(Accuracy, prediction, reference, num_classes=2) == [(total - 1) / total]
    assert values(Dice, prediction, reference, num_classes=2) == [2 * (total - 1) / (2 * total - 1)]


def test_mean_is_over_defined_cases_then_over_classes():
    metric = Dice(CLASSES)
    # case 0: class 1 hit, class 2 absent; case 1: class 1 missed, class 2 hit; case 2: both absent
    metric(*batched([[1, 0]], [[1, 0]]))
    metric(*batched([[0, 2]], [[1, 2]]))
    metric(*batched([[0, 0]], [[0, 0]]))
    assert metric.aggregate().item() == pytest.approx(((1 + 0) / 2 + 1) / 2)
    metric.reset()
    metric(*batched([[0, 0]], [[0, 0]]))
    assert math.isnan(metric.aggregate())


@METRICS
@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        (torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3), r"\(1, 1, 2, 2\) and reference \(1, 1, 2, 3\) differ"),
        (torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), "got 2 channels; give label maps with one"),
        (
            torch.full((1, 1, 2, 2), 3),
            torch.zeros(1, 1, 2, 2),
            "prediction holds labels from 3 to 3; classes are 0 to 2",
        ),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), -1), "reference holds labels from -1 to -1"),
        (
            torch.full((1, 1, 2, 2), 0.7),
            torch.zeros(1, 1, 2, 2),
            r"prediction holds fractions from 0\.7 to 0\.7; give whole numbers",
        ),
        (torch.full((1, 1, 2, 2), math.nan), torch.zeros(1, 1, 2, 2), "prediction holds fractions from nan to nan"),
    ],
    ids=["shape", "channels", "label above", "label below", "probability", "not a number"],
)
def test_unfit_label_maps_are_refused(metric_class, prediction, reference, message):
    with pytest.raises(ValueError, match=message):
        metric_class(CLASSES)(prediction, reference)


def test_one_class_is_refused_since_the_background_counts():
    with pytest.raises(ValueError, match=r"num_classes is 1; it counts the background"):
        Dice(1)
