"""Masks on another device than the processor: the same values, and faults that wait for `aggregate`."""

from __future__ import annotations

import math

import pytest
import torch

from monai_seg.metrics.masks import MaskError, mask_pair
from monai_seg.metrics.overlap import Accuracy, Dice, Recall, VolumeError
from monai_seg.metrics.pooled_overlap import PooledIoU

METRICS = (Dice, Accuracy, Recall, VolumeError, PooledIoU)


class Place(str):
    """The processor under another name."""

    type = "elsewhere"


class Elsewhere(torch.Tensor):
    """A tensor that takes the paths of another device, on the processor."""

    device = property(lambda self: Place("cpu"))


def elsewhere(masks: torch.Tensor) -> torch.Tensor:
    return masks.as_subclass(Elsewhere)


def on_gpu(masks: torch.Tensor) -> torch.Tensor:
    return masks.cuda()


DEVICES = pytest.mark.parametrize(
    "there",
    [elsewhere, pytest.param(on_gpu, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))],
)


def label_maps(classes: int, dtype: torch.dtype = torch.int64, shape: tuple[int, ...] = (47, 45)) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    return [torch.randint(0, classes, (3, 1, *shape), generator=draw).to(dtype) for _ in range(2)]


def check_same(metric_class, here: list[torch.Tensor], there, *options) -> None:
    ours, theirs = metric_class(*options), metric_class(*options)
    expected, found = ours(*here), theirs(*map(there, here))
    assert torch.equal(torch.as_tensor(found).cpu().nan_to_num(-1), expected.nan_to_num(-1))
    assert theirs.aggregate().item() == pytest.approx(ours.aggregate().item(), rel=1e-14)


@DEVICES
@pytest.mark.parametrize("metric_class", METRICS)
@pytest.mark.parametrize("background", [False, True])
def test_values_are_those_of_the_processor(there, metric_class, background):
    for classes in (2, 4, 300):
        check_same(metric_class, label_maps(classes), there, classes, background)
    for dtype in (torch.bool, torch.uint8, torch.float16, torch.float32):
        check_same(metric_class, label_maps(2, dtype, (5, 6, 7)), there, 2, background)
    apart = [torch.nn.functional.one_hot(labels[:, 0], 4).movedim(-1, 1) for labels in label_maps(4)]
    check_same(metric_class, apart, there, None, background)
    overlapping = [masks.bool() | masks.roll(1, dims=1).bool() for masks in apart]
    check_same(metric_class, overlapping, there, None, background)


@DEVICES
@pytest.mark.parametrize("value", [-1, 3, 255, 1000, -(2**40), 0.5, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_that_are_no_labels_are_told_by_aggregate(there, value, side):
    masks = label_maps(3, torch.float64 if isinstance(value, float) else torch.int64)
    masks[side][1, 0, 2, 3] = value
    pair = mask_pair(*map(there, masks), num_classes=3)
    assert bool(pair.fault)
    assert max(int(pair.prediction.max()), int(pair.reference.max())) <= 2
    metric = Dice(3)
    metric(*map(there, label_maps(3)))
    metric(*map(there, masks))
    with pytest.raises(MaskError, match="a prediction or reference holds values that are no labels"):
        metric.aggregate()
    metric.reset()
    metric(*map(there, label_maps(3)))
    assert not metric.aggregate().isnan()


@DEVICES
@pytest.mark.parametrize("value", [-1.0, 0.5, 2.0, math.nan])
def test_channels_that_are_no_masks_are_told_by_aggregate(there, value):
    masks = torch.zeros(2, 2, 4, 5)
    masks[1, 0, 2, 2] = value
    metric = Accuracy()
    metric(there(torch.zeros(2, 2, 4, 5)), there(masks))
    with pytest.raises(MaskError, match="no labels"):
        metric.aggregate()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_label_maps_on_a_gpu_do_not_make_the_processor_wait():
    masks = [labels.cuda() for labels in label_maps(4)]
    metrics = [metric_class(4) for metric_class in METRICS]
    Dice(4)(*(labels.clone() for labels in masks))  # what is loaded or set up once may wait
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for metric in metrics:
            metric(*masks)
    finally:
        torch.cuda.set_sync_debug_mode(before)
