"""Convolutions of tiny volumes: gradients that are right under autocast, on any processor."""

from __future__ import annotations

import copy

import pytest
import torch

from monai_seg.networks.small_volumes import small_volumes_in_float32


def spoilt_memory() -> None:
    """Leave large numbers in memory that is given out again, as after other computations."""
    for _ in range(50):
        torch.full((1000,), 1e30)


@pytest.mark.parametrize("size", [(2, 2, 2), (2, 2, 3), (3, 3, 3), (5, 5, 5)])
def test_gradients_under_autocast_are_those_of_float32(size):
    torch.manual_seed(0)
    network = small_volumes_in_float32(torch.nn.Sequential(torch.nn.Conv3d(16, 16, 3, padding=1)))
    for _ in range(10):
        image, seed = torch.randn(2, 16, *size), torch.randn(2, 16, *size)
        gradients = []
        for is_half in (True, False):
            spoilt_memory()
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                found = network(image)
            found.float().backward(seed)
            gradients.append(network[0].weight.grad.clone())
        assert (gradients[0] - gradients[1]).abs().max() < 0.03 * gradients[1].abs().max()


def test_only_small_inputs_are_kept_out_and_copies_behave_alike():
    network = small_volumes_in_float32(small_volumes_in_float32(torch.nn.Conv3d(2, 3, 3, padding=1)))
    assert len(network._forward_hooks) == 1  # twice is once
    for each in (network, copy.deepcopy(network)):
        with torch.autocast("cpu", torch.bfloat16):
            kinds = [each(torch.rand(1, 2, *[length] * 3)).dtype for length in (3, 4)]
            assert torch.is_autocast_enabled("cpu")
        assert kinds == [torch.float32, torch.bfloat16]


def test_autocast_goes_on_after_an_error():
    network = small_volumes_in_float32(torch.nn.Conv3d(2, 3, 3))  # no padding: 2 voxels are too few
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 2, 2, 2, 2))
        assert torch.is_autocast_enabled("cpu")
