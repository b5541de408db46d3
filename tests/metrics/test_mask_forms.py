"""The forms in which masks come: all give the same values, and what cannot be compared has an error that says why."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.utils import one_hot

from monai_seg.metrics.masks import MaskError
from monai_seg.metrics.overlap import Accuracy, Dice, VolumeError

CLASSES = 4
SHAPES = pytest.mark.parametrize("shape", [(6, 8), (5, 7), (51, 53), (4, 5, 3), (1, 9), (3, 1, 4), (1, 1)], ids=str)


def random_maps(shape: tuple[int, ...], classes: int = CLASSES, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    return tuple(torch.randint(0, classes, (2, batch, 1, *shape), generator=draw))


def found(prediction, reference, classes: int | None = CLASSES, background: bool = False) -> torch.Tensor:
    """Values of two metrics, which between them tell hits, sizes and their order."""
    metrics = (Dice(classes, background), VolumeError(classes, background, signed=True))
    return torch.stack([metric(prediction, reference) for metric in metrics])


def by_counting(prediction: torch.Tensor, reference: torch.Tensor, classes: int, background: bool) -> torch.Tensor:
    """The same from MONAI's channels and plain sums."""
    sides = [one_hot(labels, classes, dtype=torch.float64).flatten(2) for labels in (prediction, reference)]
    hit, (predicted, referred) = (sides[0] * sides[1]).sum(2), (side.sum(2) for side in sides)
    values = torch.stack([2 * hit, 2 * (predicted - referred)]) / (predicted + referred)
    return values if background else values[:, :, 1:]


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.nan_to_num(-9), second.nan_to_num(-9))


def strided(masks: torch.Tensor) -> torch.Tensor:
    """The same values, of which no two lie side by side in memory."""
    wide = masks.new_zeros((*masks.shape[:-1], 2 * masks.shape[-1] + 1))
    wide[..., 1::2] = masks
    return wide[..., 1::2]


def turned(masks: torch.Tensor) -> torch.Tensor:
    """The same values with the last axis outermost in memory."""
    return masks.movedim(-1, 0).contiguous().movedim(0, -1)


def shifted(masks: torch.Tensor) -> torch.Tensor:
    """The same values, in memory behind one byte of something else."""
    return torch.cat([masks.new_zeros(1), masks.flatten()])[1:].view(masks.shape)


@SHAPES
@pytest.mark.parametrize("background", [False, True])
def test_forms_of_label_maps(shape, background):
    maps = random_maps(shape)
    expected = by_counting(*maps, CLASSES, background)
    dtypes = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
              torch.float16, torch.bfloat16, torch.float32, torch.float64]  # fmt: skip
    forms = [lambda labels, dtype=dtype: labels.to(dtype) for dtype in dtypes]
    forms += [strided, turned, lambda labels: shifted(labels.to(torch.uint8)), MetaTensor, list, tuple]
    forms += [lambda labels: [MetaTensor(each) for each in labels], lambda labels: labels.double().requires_grad_()]
    forms.append(lambda labels: torch.from_numpy(labels.numpy().astype(np.uint8)))
    if len(shape) == 2:
        forms.append(lambda labels: labels.to(memory_format=torch.channels_last))
    for form in forms:
        assert same(found(*map(form, maps), background=background), expected)
    assert same(found(maps[0].to(torch.uint8), maps[1].float(), background=background), expected)
    cases = [found(p[None], r[None], background=background) for p, r in zip(*maps, strict=True)]
    assert same(torch.cat(cases, dim=1), expected)


@SHAPES
@pytest.mark.parametrize("background", [False, True])
def test_forms_of_channels(shape, background):
    maps = random_maps(shape)
    expected = by_counting(*maps, CLASSES, background)
    channels = [one_hot(labels, CLASSES) for labels in maps]
    forms = [lambda masks, dtype=dtype: masks.to(dtype) for dtype in
             (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32)]  # fmt: skip
    forms += [strided, turned, lambda masks: shifted(masks.bool()), MetaTensor, list]
    if len(shape) == 2:
        forms.append(lambda masks: masks.to(memory_format=torch.channels_last))
    for form in forms:
        assert same(found(*map(form, channels), classes=None, background=background), expected)
    assert same(found(*channels, background=background), expected)


@SHAPES
def test_overlapping_channels_are_masks_of_their_own(shape):
    draw = torch.Generator().manual_seed(1)
    masks = [torch.rand(2, 4, *shape, generator=draw) < 0.6 for _ in range(2)]
    expected = torch.cat(
        [found(*(side[:, [index]] for side in masks), classes=1, background=True) for index in range(4)], dim=2
    )
    for form in (torch.Tensor.bool, torch.Tensor.float, turned, shifted, list):
        assert same(found(*map(form, masks), classes=None, background=True), expected)
        assert same(found(*map(form, masks), classes=None), expected[:, :, 1:])
    # A single mask is the label map of two classes.
    single = [side[:, [2]] for side in masks]
    assert same(found(*single, classes=2), expected[:, :, [2]])
    assert same(found(*(side.float() for side in single), classes=2), expected[:, :, [2]])


@pytest.mark.parametrize("classes", [255, 256, 257, 1000])
@pytest.mark.parametrize("background", [False, True])
def test_many_classes(classes, background):
    shape = (40, 50)
    maps = random_maps(shape, classes, batch=2)
    maps[0][0, 0, 0, 0], maps[1][1, 0, 0, 0] = classes - 1, classes - 1
    expected = by_counting(*maps, classes, background)
    assert same(found(*maps, classes, background), expected)
    assert same(found(*(labels.float() for labels in maps), classes, background), expected)
    channels = [one_hot(labels, classes, dtype=torch.bool) for labels in maps]
    assert same(found(*channels, None, background), expected)


@pytest.mark.parametrize("shape", [(8, 255), (2, 8, 255), (3, 2041), (64, 64)], ids=str)
def test_full_and_empty_masks_of_any_size(shape):
    full, empty = torch.ones(2, 1, *shape, dtype=torch.uint8), torch.zeros(2, 1, *shape, dtype=torch.uint8)
    for classes in (2, 3):
        assert Dice(classes)(full, full)[:, 0].tolist() == [1, 1]
        assert Dice(classes)(full, empty)[:, 0].tolist() == [0, 0]
        assert Dice(classes)(empty, empty.clone())[:, 0].isnan().all()
        assert Accuracy(classes)(full, empty)[:, 0].tolist() == [0, 0]


def test_list_of_differing_sizes_is_its_cases_in_their_order():
    pairs = [random_maps(shape, batch=1) for shape in ((5, 7), (6, 8), (5, 7), (1, 3))]
    predictions, references = ([pair[side][0] for pair in pairs] for side in range(2))
    expected = torch.cat([by_counting(*pair, CLASSES, False) for pair in pairs], dim=1)
    assert same(found(predictions, references), expected)
    mixed = [predictions[0].float(), *predictions[1:]]
    assert same(found(mixed, references), expected)
    channels = [[one_hot(labels, CLASSES, dim=0) for labels in side] for side in (predictions, references)]
    assert same(found(*channels, classes=None), expected)


MAP = torch.zeros(2, 1, 3, 4)
PAIR = torch.zeros(2, 2, 3, 4)


@pytest.mark.parametrize(
    ("prediction", "reference", "classes", "message"),
    [
        (MAP, torch.zeros(2, 1, 3, 5), 3, r"prediction \(2, 1, 3, 4\) and reference \(2, 1, 3, 5\) differ in shape"),
        (MAP, PAIR, 2, r"\(2, 1, 3, 4\) and reference \(2, 2, 3, 4\) differ in shape; compare masks of one grid"),
        (MAP, torch.zeros(2, 1, 3, 4, device="meta"), 3, "the prediction is on cpu, the reference on meta; move one"),
        (MAP[0], MAP[0], 3, r"masks of shape \(1, 3, 4\); give \(B, C, H, W\[, D\]\)"),
        (MAP[:, :, :0], MAP[:, :, :0], 3, r"masks of shape \(2, 1, 0, 4\); .* with at least one voxel"),
        (torch.zeros(1, 1, 2, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2, 2), 3, r"masks of shape \(1, 1, 2, 2, 2, 2\)"),
        (list(MAP[:, 0]), list(MAP[:, 0]), 3, r"masks of shape \(2, 3, 4\)"),
        (PAIR, PAIR, 3, "got 2 channels for 3 classes; give one channel for each, or a label map"),
        (MAP, MAP, None, "a label map does not say how many classes there are: give num_classes, with background"),
        (MAP + 3, MAP, 3, "prediction holds labels from 3 to 3; classes are 0 to 2"),
        (MAP, MAP.long() - 1, 3, "reference holds labels from -1 to -1; classes are 0 to 2"),
        (MAP, (MAP + 300).to(torch.uint16), 3, "reference holds labels from 300 to 300"),
        (MAP.to(torch.uint8) + 255, MAP, 2, "prediction holds labels from 255 to 255; classes are 0 to 1"),
        (MAP + 0.7, MAP, 3, r"prediction holds fractions from 0\.7 to 0\.7; give whole numbers, as from argmax"),
        (MAP.half() + 0.5, MAP, 2, r"prediction holds fractions from 0\.5 to 0\.5"),
        (MAP, MAP + math.nan, 3, "reference holds labels from nan to nan"),
        (MAP, MAP + math.inf, 3, "reference holds labels from inf to inf"),
        (PAIR + 0.4, PAIR, None, r"prediction has 2 channels with values from 0\.4 to 0\.4; masks are 0 and 1"),
        (PAIR, PAIR.long() + 2, 2, "reference has 2 channels with values from 2 to 2"),
        (PAIR, PAIR + math.nan, 2, "reference has 2 channels with values from nan to nan"),
        (list(MAP), MAP, 3, "one of prediction and reference is a list, the other a batch; give both in one form"),
        (MAP, list(MAP), 3, "one of prediction and reference is a list"),
        (list(MAP), list(MAP)[:1], 3, "2 predictions and 1 references; give one for each"),
        (MAP, MAP[:1], 3, "2 predictions and 1 references"),
        ([], [], 3, "the batch is empty"),
        (MAP[:0], MAP[:0], 3, "the batch is empty"),
        (list(MAP.numpy()), list(MAP), 3, "a mask is of type ndarray; give tensors"),
        (MAP.numpy(), MAP.numpy(), 3, "a mask is of type ndarray; give tensors"),
        (MAP, None, 3, "Dice compares: give a reference for each prediction"),
    ],
)
def test_what_cannot_be_compared(prediction, reference, classes, message):
    with pytest.raises(MaskError, match=message):
        Dice(classes)(prediction, reference)


def test_case_of_a_list_that_differs_from_its_reference_is_refused():
    with pytest.raises(MaskError, match=r"prediction \(1, 1, 3, 4\) and reference \(1, 1, 3, 5\) differ in shape"):
        Dice(2)([MAP[0], MAP[1]], [MAP[0], torch.zeros(1, 3, 5)])
    with pytest.raises(MaskError, match="the prediction is on cpu, the reference on meta"):
        Dice(2)([MAP[0], MAP[1]], [MAP[0], MAP[1].to("meta")])


def test_unfit_options():
    with pytest.raises(ValueError, match=r"num_classes is 1; it counts the background, so it is at least 2"):
        Dice(1)
    with pytest.raises(ValueError, match="num_classes is 0"):
        Dice(0, include_background=True)
    with pytest.raises(ValueError, match="median"):
        Dice(2, reduction="median")
    with pytest.raises(TypeError, match="Dice takes no tolerance; only spacing"):
        Dice(2)(MAP, MAP, tolerance=1.0)
    with pytest.raises(ValueError, match="Dice has nothing to aggregate: compare a batch first"):
        Dice(2).aggregate()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8], ids=str)
@pytest.mark.parametrize("classes", [128, 256, 300])
def test_more_classes_than_the_labels_can_count(dtype, classes):
    labels = torch.arange(120, dtype=dtype).view(1, 1, 10, 12)
    assert Dice(classes)(labels, labels)[0, :119].tolist() == [1.0] * 119
