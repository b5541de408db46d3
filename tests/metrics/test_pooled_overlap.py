"""Overlap of all cases as one: by hand, by joining the images, and why summaries do not pool."""

from __future__ import annotations

import math

import pytest
import torch

from monai_seg.metrics.overlap import Dice, IoU
from monai_seg.metrics.pooled_overlap import PooledDice, PooledIoU

CLASSES = 4
BOTH = pytest.mark.parametrize(("pooled", "single"), [(PooledDice, Dice), (PooledIoU, IoU)])


def case(*labels: int) -> torch.Tensor:
    return torch.tensor(labels).view(1, 1, -1)


@pytest.fixture
def maps() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Cases of differing size in which class 3 is nowhere."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, 4, 5), (1, 7, 3), (1, 2, 2), (1, 9, 9)]
    return tuple([torch.randint(0, CLASSES - 1, shape, generator=draw) for shape in shapes] for _ in range(2))


def test_hand_worked():
    prediction, reference = [case(1, 1, 0, 2), case(1, 0)], [case(1, 0, 0, 2), case(1, 1)]
    # Class 1: 2 voxels in both of 3 and 3. Class 2: 1 in both of 1 and 1. Class 3: nowhere.
    expected = {"micro": 6 / 8, "macro": (2 / 3 + 1) / 2}
    for average, value in expected.items():
        metric = PooledDice(CLASSES, average=average)
        metric(prediction, reference)
        assert metric.aggregate().item() == pytest.approx(value, rel=1e-15)
    metric = PooledDice(CLASSES, average=None)
    assert metric(prediction, reference)[0].tolist() == [[1, 2, 1], [1, 1, 1], [0, 0, 0]]
    assert metric.aggregate().tolist() == pytest.approx([2 / 3, 1, math.nan], nan_ok=True)
    assert metric.aggregate("micro").item() == 6 / 8
    iou = PooledIoU(CLASSES, average="micro")
    iou(prediction, reference)
    assert iou.aggregate().item() == 3 / 5


@BOTH
@pytest.mark.parametrize("background", [False, True])
def test_pooled_is_the_value_of_one_joined_image(maps, pooled, single, background):
    joined = [torch.cat([labels.flatten() for labels in side]).view(1, 1, -1, 1) for side in maps]
    expected = single(CLASSES, include_background=background)(*joined)[0]
    metric = pooled(CLASSES, include_background=background, average=None)
    metric(*maps)
    assert torch.equal(metric.aggregate().nan_to_num(-1), expected.nan_to_num(-1))
    assert metric.aggregate("macro").item() == pytest.approx(expected.nanmean().item(), rel=1e-15)


@BOTH
def test_order_and_batches_leave_every_bit(maps, pooled, single):
    whole, parts = pooled(CLASSES), pooled(CLASSES)
    whole(*maps)
    for index in (2, 0, 3, 1):
        parts(maps[0][index][None], maps[1][index][None])
    assert torch.equal(whole.aggregate(), parts.aggregate())
    whole.reset()
    whole([maps[0][0]], [maps[1][0]])
    assert whole.aggregate().item() == pytest.approx(single(CLASSES)(maps[0][:1], maps[1][:1]).nanmean().item())


def test_a_missed_small_structure_hides_in_the_pool():
    large, small = torch.zeros(2, 1, 20, 20).long()
    large[:, :10], small[:, :1, :2] = 1, 1
    pooled, per_case = PooledDice(2), Dice(2)
    for metric in (pooled, per_case):
        metric([large, torch.zeros_like(small)], [large, small])
    assert pooled.aggregate().item() > 0.99
    assert per_case.aggregate().item() == 0.5


@BOTH
def test_nothing_anywhere_is_undefined_and_one_empty_side_is_the_worst(pooled, single):
    for average in ("micro", "macro"):
        metric = pooled(2, average=average)
        metric(torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3))
        assert metric.aggregate().isnan()
        metric(torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
        assert metric.aggregate().item() == 0.0


def test_what_it_refuses():
    with pytest.raises(ValueError, match="weighted"):
        PooledDice(2, average="weighted")
    with pytest.raises(ValueError, match="PooledDice has nothing to aggregate"):
        PooledDice(2).aggregate()
