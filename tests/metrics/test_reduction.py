"""From values to means: by hand, against MONAI where nothing is missing, and where MONAI's means hide what is."""

from __future__ import annotations

import math

import pytest
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric
from monai.metrics.utils import do_metric_reduction
from monai.networks.utils import one_hot
from monai.utils.enums import MetricReduction

from monai_seg.metrics.overlap import Dice
from monai_seg.metrics.reduction import reduce_cases

NAN = math.nan
TABLE = torch.tensor([[0.2, NAN, 0.4], [0.6, NAN, NAN], [NAN, NAN, NAN]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("reduction", "value", "count"),
    [
        ("mean", 0.4, 2),
        ("mean_batch", [0.4, NAN, 0.4], [2, 0, 1]),
        ("mean_channel", [0.3, 0.6, NAN], [2, 1, 0]),
        ("sum", 1.2, 3),
        ("sum_batch", [0.8, NAN, 0.4], [2, 0, 1]),
        ("sum_channel", [0.6, 0.6, NAN], [2, 1, 0]),
        ("none", TABLE.tolist(), [[1, 0, 1], [1, 0, 0], [0, 0, 0]]),
    ],
)
def test_hand_worked(reduction, value, count):
    found, defined = reduce_cases(TABLE, reduction)
    torch.testing.assert_close(found, torch.tensor(value, dtype=torch.float64), equal_nan=True)
    assert defined.tolist() == count
    assert found.dtype == defined.dtype == torch.float64
    by_enum, _ = reduce_cases(TABLE, MetricReduction(reduction))
    assert torch.equal(by_enum.nan_to_num(-1), found.nan_to_num(-1))


@pytest.mark.parametrize("reduction", list(MetricReduction))
def test_agrees_with_monai_where_all_is_defined(reduction):
    table = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, count = reduce_cases(table, reduction)
    expected, _ = do_metric_reduction(table, reduction)
    # MONAI's are float32 in part, and one has an axis more.
    torch.testing.assert_close(found.float(), expected.float().reshape(found.shape))
    assert count.shape == found.shape


@pytest.mark.parametrize("reduction", list(MetricReduction))
@pytest.mark.parametrize("shape", [(2, 3), (1, 1)])
def test_nothing_defined_is_undefined(reduction, shape):
    found, count = reduce_cases(torch.full(shape, NAN), reduction)
    assert found.isnan().all()
    assert not count.any()


def test_each_class_weighs_the_same_in_the_mean_however_often_it_occurs():
    # Class 1 is in each of ten cases, class 2 in one: MONAI averages over the classes of a case first.
    table = torch.full((10, 2), NAN)
    table[:, 0], table[0, 1] = 1.0, 0.0
    assert reduce_cases(table, "mean")[0].item() == 0.5
    assert do_metric_reduction(table, "mean")[0].item() == pytest.approx(0.95)


def test_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="mean_batch"):
        reduce_cases(TABLE, "mean_bach")


def test_metric_takes_a_reduction_when_made_or_when_asked():
    prediction, reference = torch.tensor([[1, 2, 2], [1, 1, 0]]), torch.tensor([[1, 1, 2], [1, 1, 1]])
    metric = Dice(4, reduction="mean_batch", get_not_nans=True)
    metric(prediction.view(2, 1, 1, 3), reference.view(2, 1, 1, 3))
    value, count = metric.aggregate()
    assert value.tolist() == pytest.approx([(2 / 3 + 4 / 5) / 2, 2 / 3, NAN], nan_ok=True)
    assert count.tolist() == [2, 1, 0]
    value, count = metric.aggregate("mean")
    assert value.item() == pytest.approx(((2 / 3 + 4 / 5) / 2 + 2 / 3) / 2)
    assert count.item() == 2
    assert metric.aggregate("none")[0].shape == metric.get_buffer().shape == (2, 3)


def squares(missed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Six cases with a square that is predicted one pixel off, or not at all in the first ``missed`` ones."""
    reference = torch.zeros(6, 1, 20, 20).long()
    reference[..., 5:12, 5:12] = 1
    prediction = reference.roll(1, dims=-1)
    prediction[:missed] = 0
    return prediction, reference


@pytest.mark.filterwarnings("ignore:the prediction of class 1 is all 0")
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy")
def test_monai_s_mean_hd95_does_not_notice_missed_structures():
    from monai_seg.metrics.surface.hausdorff import HausdorffDistance

    theirs, ours = [], []
    for missed in (0, 3):
        prediction, reference = squares(missed)
        monai = HausdorffDistanceMetric(percentile=95, reduction="mean")
        monai(*(one_hot(labels, 2) for labels in (prediction, reference)))
        theirs.append(monai.aggregate().item())
        metric = HausdorffDistance(num_classes=2, percentile=95)
        metric(prediction, reference)
        ours.append(metric.aggregate().item())
    assert theirs == [1.0, 1.0]  # MONAI#9095: half of the structures are missed, and it is as good as before
    assert ours == [1.0, pytest.approx((3 * 1.0 + 3 * math.hypot(20, 20)) / 6)]


def test_monai_s_mean_dice_of_an_absent_class_reads_like_a_miss():
    labels = torch.zeros(4, 1, 6, 6).long()
    labels[..., 2:4, 2:4] = 1  # class 2 is nowhere, neither predicted nor in the reference
    monai = DiceMetric(include_background=False, reduction="mean_batch", ignore_empty=True)
    monai(*(one_hot(labels, 3) for _ in range(2)))
    assert monai.aggregate().tolist() == [1.0, 0.0]  # MONAI#7504
    metric = Dice(3, reduction="mean_batch", get_not_nans=True)
    metric(labels, labels.clone())
    value, count = metric.aggregate()
    assert value.tolist() == pytest.approx([1.0, NAN], nan_ok=True)
    assert count.tolist() == [4, 0]
    assert metric.aggregate("mean")[0].item() == 1.0
