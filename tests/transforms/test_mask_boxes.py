"""Boxes of masks: against torchvision and NumPy, edges worked by hand, nothing at all; and objects that are dropped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from instance_samples import check_agreement, sample_of
from monai.data import MetaTensor

from monai_seg.transforms import MasksToBoxesd, RemoveCrowdd, masks_to_boxes


def test_edges_lie_around_the_pixels():
    mask = torch.zeros(2, 8, 9, dtype=torch.bool)
    mask[0, 2:6, 1] = True
    mask[1, 7, 8] = True
    assert masks_to_boxes(mask).tolist() == [[2, 1, 6, 2], [7, 8, 8, 9]]
    assert masks_to_boxes(mask).dtype == torch.float32


def test_the_same_as_torchvision_whose_last_pixel_is_inside():
    mask = sample_of(6)["mask"].as_tensor()
    left, top, right, bottom = torchvision.ops.masks_to_boxes(mask).T
    assert torch.equal(masks_to_boxes(mask), torch.stack([top, left, bottom + 1, right + 1], dim=1))


def test_volumes_as_numpy_finds_them():
    mask = sample_of(4, (12, 15, 9))["mask"]
    for box, each in zip(masks_to_boxes(mask), mask.numpy(), strict=True):
        inside = np.argwhere(each)
        assert box.tolist() == [*inside.min(axis=0), *(inside.max(axis=0) + 1)]


@pytest.mark.parametrize("size", [(8, 9), (8, 9, 7), (0, 9)])
def test_no_object_and_empty_masks(size):
    assert masks_to_boxes(torch.zeros(0, *size)).shape == (0, 2 * len(size))
    assert masks_to_boxes(torch.zeros(2, *size)).tolist() == [[0] * 2 * len(size)] * 2


def test_meta_tensors_give_plain_boxes():
    assert type(masks_to_boxes(MetaTensor(torch.ones(1, 3, 4)))) is torch.Tensor


def test_what_became_too_small_goes_with_all_that_belongs_to_it():
    sample = sample_of(3)
    sample["mask"][1] = 0
    sample["mask"][1, 3, 4] = 1
    assert MasksToBoxesd()(sample)["box"][1].tolist() == [3, 4, 4, 5]
    cleaned = MasksToBoxesd(min_size=2)(sample)
    check_agreement(cleaned)
    assert cleaned["label"].tolist() == sample["label"][[0, 2]].tolist()
    assert cleaned["crowd"].tolist() == [False, True]
    assert len(sample["label"]) == 3  # the sample that was given is as it was


def test_other_keys_and_no_limit():
    sample = {"cells": torch.zeros(2, 4, 4), "kind": torch.tensor([0, 1])}
    assert len(MasksToBoxesd("kind", "cells", "place")(sample)["kind"]) == 0
    kept = MasksToBoxesd("kind", "cells", "place", min_size=0)(sample)
    assert kept["place"].tolist() == [[0] * 4] * 2


def test_lists_that_disagree_are_named():
    with pytest.raises(ValueError, match="there are 5 masks, but 4 of label"):
        MasksToBoxesd()(sample | {"label": sample["label"][1:]} if (sample := sample_of(5)) else {})
    with pytest.raises(ValueError, match="min_size is -1"):
        MasksToBoxesd(min_size=-1)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_crowds_stay_out_of_training(count):
    sample = sample_of(count)
    assert bool(sample["crowd"].any()) == (count > 1)
    counted = RemoveCrowdd()(sample)
    check_agreement(counted)
    assert counted["label"].tolist() == sample["label"][~sample["crowd"]].tolist()
