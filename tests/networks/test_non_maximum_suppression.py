"""Suppression of all boxes at once: the same as one by one, by torchvision and by MONAI."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.box_utils import batched_nms

from monai_seg.networks.non_maximum_suppression import non_maximum_suppression


def crowded(count: int, dims: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes that overlap a lot, without two equal scores, for which the order would be a matter of taste."""
    draw = torch.Generator().manual_seed(seed)
    low = torch.rand(count, dims, generator=draw) * 20
    boxes = torch.cat([low, low + 2 + torch.rand(count, dims, generator=draw) * 15], dim=1)
    scores = torch.randperm(count, generator=draw).float() / max(count, 1)
    return boxes, scores, torch.randint(0, 3, (count,), generator=draw)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 80), st.floats(0.05, 0.9), st.integers(0, 10**6), st.sampled_from([3, 16, 2048]))
def test_same_as_torchvision_in_2d(count, threshold, seed, block_size):
    boxes, scores, labels = crowded(count, 2, seed)
    wanted = torchvision.ops.batched_nms(boxes, scores, labels, threshold)
    assert torch.equal(non_maximum_suppression(boxes, scores, labels, threshold, block_size), wanted)
    single = torchvision.ops.nms(boxes, scores, threshold)
    assert torch.equal(non_maximum_suppression(boxes, scores, None, threshold, block_size), single)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.floats(0.05, 0.9), st.integers(0, 10**6))
def test_same_as_monai_in_3d(count, threshold, seed):
    boxes, scores, labels = crowded(count, 3, seed)
    wanted = batched_nms(boxes, scores, labels, threshold, max_proposals=count)
    assert torch.equal(non_maximum_suppression(boxes, scores, labels, threshold), wanted)


def test_a_chain_is_undone_link_by_link():
    """Each box overlaps its neighbours alone: every other one stays, which takes as many rounds as it has links."""
    first = torch.arange(50.0) * 4
    boxes = torch.stack([first, torch.zeros(50), first + 10, torch.ones(50)], dim=1)
    kept = non_maximum_suppression(boxes, -first, iou_threshold=0.4)
    assert kept.tolist() == list(range(0, 50, 2))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count):
    boxes, scores, labels = crowded(count, 3, 0)
    assert non_maximum_suppression(boxes, scores, labels).tolist() == list(range(count))
