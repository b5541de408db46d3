"""Overlap per case and class: hand-worked, against MONAI and NumPy, and as properties of any pair of label maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.metrics import DiceMetric, compute_confusion_matrix_metric, compute_iou, get_confusion_matrix
from monai.networks.utils import one_hot

from monai_seg.metrics.overlap import Accuracy, Dice, IoU, Precision, Recall, Specificity, VolumeError

CLASSES = 3
PAIRS = array_shapes(min_dims=2, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, CLASSES - 1))] * 2)
)
NAN = math.nan
quick = settings(deadline=None, max_examples=25, derandomize=True)


def batched(*maps: np.ndarray | list) -> list[torch.Tensor]:
    return [torch.as_tensor(np.array(labels))[None, None] for labels in maps]


def values(metric_class, prediction, reference, **options) -> list[float]:
    return metric_class(num_classes=options.pop("num_classes", CLASSES), **options)(prediction, reference)[0].tolist()


@pytest.mark.parametrize(
    ("metric_class", "background", "first", "second"),
    [
        # Of 8 voxels the background has 3 in both masks, of 5 and 4; class 1 has 1, of 1 and 3; class 2 1, of 2 and 1.
        (Dice, 6 / 9, 2 / 4, 2 / 3),
        (IoU, 3 / 6, 1 / 3, 1 / 2),
        (Precision, 3 / 5, 1 / 1, 1 / 2),
        (Recall, 3 / 4, 1 / 3, 1 / 1),
        (Specificity, 2 / 4, 5 / 5, 6 / 7),
        (Accuracy, 5 / 8, 6 / 8, 7 / 8),
        (VolumeError, 2 * 1 / 9, 2 * 2 / 4, 2 * 1 / 3),
    ],
)
def test_hand_worked_case(metric_class, background, first, second):
    prediction, reference = batched([[1, 0, 0, 0], [2, 2, 0, 0]], [[1, 1, 1, 0], [2, 0, 0, 0]])
    assert values(metric_class, prediction, reference) == [first, second]
    assert values(metric_class, prediction, reference, include_background=True) == [background, first, second]


def test_signed_volume_error_tells_too_little_from_too_much():
    prediction, reference = batched([[1, 0, 0, 0], [2, 2, 0, 0]], [[1, 1, 1, 0], [2, 0, 0, 0]])
    assert values(VolumeError, prediction, reference, signed=True) == [-1.0, 2 / 3]
    assert values(VolumeError, *batched([[1, 0]], [[0, 2]]), signed=True) == [2.0, -2.0]
    metric = VolumeError(CLASSES, signed=True, reduction="mean_batch")
    metric(prediction, reference)
    metric(reference, prediction)
    assert metric.aggregate().tolist() == [0.0, 0.0]


def test_small_volume_errors_read_as_the_relative_difference_of_the_field():
    reference = torch.zeros(1, 1, 200, 10)
    prediction = reference.clone()
    reference[:, :, :100], prediction[:, :, :102] = 1, 1
    assert values(VolumeError, prediction, reference, num_classes=2) == [pytest.approx(0.02, rel=0.02)]


@pytest.mark.parametrize(
    ("metric_class", "hit", "missed", "false_alarm", "rightly_empty", "all_against_one"),
    [
        (Dice, 1, 0, 0, NAN, 2 / 5),
        (IoU, 1, 0, 0, NAN, 1 / 4),
        (Precision, 1, 0, 0, NAN, 1 / 4),
        (Recall, 1, 0, 0, NAN, 1),
        # Here the one voxel is the image, so it is what is not of the class that may be empty.
        (Specificity, NAN, 0, 0, 1, 0),
        (Accuracy, 1, 0, 0, 1, 1 / 4),
        (VolumeError, 0, 2, 2, NAN, 6 / 5),
    ],
)
def test_empty_one_voxel_and_full_masks(metric_class, hit, missed, false_alarm, rightly_empty, all_against_one):
    pairs = [([[1]], [[1]]), ([[0]], [[1]]), ([[1]], [[0]]), ([[0]], [[0]]), ([[1, 1], [1, 1]], [[1, 0], [0, 0]])]
    found = [values(metric_class, *batched(*pair), num_classes=2)[0] for pair in pairs]
    assert found == pytest.approx([hit, missed, false_alarm, rightly_empty, all_against_one], nan_ok=True)


@pytest.mark.parametrize(
    ("metric_class", "missed", "false_alarm"),
    [(Dice, 0, 0), (IoU, 0, 0), (Precision, 0, 0), (Recall, 0, 0), (VolumeError, 2, 2), (Specificity, 1, 3 / 4)],
)
def test_one_empty_mask_has_the_worst_value(metric_class, missed, false_alarm):
    # Nothing is predicted wrongly where nothing is predicted: specificity leaves a missed structure to the others.
    assert values(metric_class, *batched([[0] * 4], [[1] + [0] * 3]), num_classes=2) == [missed]
    assert values(metric_class, *batched([[1] + [0] * 3], [[0] * 4]), num_classes=2) == [false_alarm]


@quick
@given(PAIRS)
def test_agrees_with_monai_where_both_masks_hold_the_class(maps):
    prediction, reference = batched(*maps)
    channels = [one_hot(labels, CLASSES) for labels in (prediction, reference)]
    both = torch.stack([channel.flatten(2).sum(2)[0] > 0 for channel in channels]).all(0)
    confusion = get_confusion_matrix(*channels)
    oracles = {
        Dice: DiceMetric(reduction="none")(*channels),
        IoU: compute_iou(*channels),
        Precision: compute_confusion_matrix_metric("precision", confusion),
        Recall: compute_confusion_matrix_metric("sensitivity", confusion),
        Specificity: compute_confusion_matrix_metric("specificity", confusion),
        Accuracy: compute_confusion_matrix_metric("accuracy", confusion),
    }
    for metric_class, oracle in oracles.items():
        found = metric_class(CLASSES, include_background=True)(prediction, reference)[0]
        # MONAI says NaN too where the reference fills the image, so that no voxel could be rightly left out.
        decided = both & ~oracle[0].isnan()
        torch.testing.assert_close(found[decided].float(), oracle[0][decided])


@quick
@given(PAIRS)
def test_agrees_with_sets_of_voxels(maps):
    for label in range(CLASSES):
        predicted, referred = (set(np.flatnonzero(labels == label)) for labels in maps)
        voxels = set(range(maps[0].size))
        hit, either = predicted & referred, predicted | referred
        left_out = voxels - either
        for metric_class, part, whole, defined in [
            (Dice, 2 * len(hit), len(predicted) + len(referred), either),
            (IoU, len(hit), len(either), either),
            (Precision, len(hit), len(predicted), either),
            (Recall, len(hit), len(referred), either),
            (Specificity, len(left_out), len(voxels - referred), voxels - hit),
            (VolumeError, 2 * abs(len(predicted) - len(referred)), len(predicted) + len(referred), either),
        ]:
            expected = (part / whole if whole else 0.0) if defined else NAN
            found = values(metric_class, *batched(*maps), include_background=True)[label]
            assert found == pytest.approx(expected, nan_ok=True)


@quick
@given(PAIRS)
def test_any_pair_is_bounded_and_joined_by_the_closed_forms(maps):
    pair = batched(*maps)

    def found(metric_class, *masks, **options) -> torch.Tensor:
        return torch.tensor(values(metric_class, *masks, include_background=True, **options))

    for metric_class in (Dice, IoU, Accuracy, Precision, Recall, Specificity, VolumeError):
        there = found(metric_class, *pair)
        assert ((there >= 0) & (there <= 1 + (metric_class is VolumeError)) | there.isnan()).all()
        if metric_class in (Dice, IoU, Accuracy, VolumeError):
            assert torch.equal(there.nan_to_num(-1), found(metric_class, *pair[::-1]).nan_to_num(-1))
    dice, iou, precision, recall = (found(each, *pair) for each in (Dice, IoU, Precision, Recall))
    torch.testing.assert_close(iou, dice / (2 - dice), equal_nan=True)
    harmonic = 2 * precision * recall / (precision + recall)
    torch.testing.assert_close(dice, torch.where(precision + recall > 0, harmonic, dice), equal_nan=True)
    torch.testing.assert_close(precision, found(Recall, *pair[::-1]), equal_nan=True)
    signed = found(VolumeError, *pair, signed=True)
    torch.testing.assert_close(signed, -found(VolumeError, *pair[::-1], signed=True), equal_nan=True)
    absent = [not any((labels == label).any() for labels in maps) for label in range(CLASSES)]
    for metric_class in (Dice, IoU, Precision, Recall, VolumeError):
        assert found(metric_class, *pair).isnan().tolist() == absent


@quick
@given(PAIRS)
def test_specificity_is_the_recall_of_everything_else(maps):
    prediction, reference = ((labels > 0).long() for labels in batched(*maps))
    (of_class,) = values(Specificity, prediction, reference, num_classes=2)
    of_background, _ = values(Recall, prediction, reference, num_classes=2, include_background=True)
    assert of_class == pytest.approx(of_background, nan_ok=True)


@quick
@given(PAIRS)
def test_perfect_prediction_is_best_or_undefined(maps):
    (reference,) = batched(maps[0])
    for metric_class in (Dice, IoU, Precision, Recall, VolumeError):
        best = 0.0 if metric_class is VolumeError else 1.0
        scores = values(metric_class, reference, reference.clone(), include_background=True)
        expected = [best if (reference == label).any() else NAN for label in range(CLASSES)]
        assert scores == pytest.approx(expected, nan_ok=True)


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


def test_values_are_float64_and_one_for_each_scored_class():
    draw = torch.Generator().manual_seed(0)
    prediction, reference = torch.randint(0, CLASSES, (2, 3, 1, 4, 5, 2), generator=draw)
    for background, columns in ((False, 2), (True, 3)):
        found = Dice(CLASSES, include_background=background)(prediction, reference)
        assert found.shape == (3, columns)
        assert found.dtype == torch.float64
