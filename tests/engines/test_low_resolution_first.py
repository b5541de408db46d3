"""Small images at the beginning of the training, whole ones afterwards, and losses at full size throughout."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from monai_seg.engines import LowResolutionFirst


class Watched(torch.nn.Module):
    """Notes the size of what it is shown."""

    def __init__(self, outputs: int = 0) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self.outputs = outputs

    def forward(self, images):
        self.sizes.append(tuple(images.shape[2:]))
        return [images * factor for factor in range(self.outputs)] if self.outputs else images


@pytest.mark.parametrize(("size", "small"), [((32, 20), (16, 10)), ((33, 7), (16, 4)), ((8, 12, 6), (4, 6, 3))])
def test_small_until_the_share_is_over_and_then_whole(size, small):
    schedule, network = SimpleNamespace(progress=0.0), Watched()
    inferer = LowResolutionFirst(schedule, share=0.4)
    images = torch.rand(2, 3, *size)
    for progress in (0.0, 0.39, 0.4, 1.0):
        schedule.progress = progress
        assert inferer(images, network).shape == images.shape
    assert network.sizes == [small, small, size, size]
    assert torch.equal(inferer(images, network), images)  # untouched


def test_halving_averages_and_scales_up_again():
    images = torch.arange(16.0).view(1, 1, 4, 4)
    seen = LowResolutionFirst(SimpleNamespace(progress=0.0))(images, torch.nn.Identity())
    small = F.interpolate(images, size=(2, 2), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen, F.interpolate(small, size=(4, 4), mode="bilinear"))
    flat = torch.full((1, 1, 5, 6), 0.3)
    seen = LowResolutionFirst(SimpleNamespace(progress=0.0))(flat, torch.nn.Identity())
    torch.testing.assert_close(seen, flat)


def test_a_pattern_finer_than_the_small_pixels_vanishes_instead_of_turning_into_another():
    checkers = (torch.arange(32)[:, None] + torch.arange(32)).remainder(2).float().view(1, 1, 32, 32)
    seen = LowResolutionFirst(SimpleNamespace(progress=0.0), scale=0.5)(checkers, torch.nn.Identity())
    assert (seen[..., 4:-4, 4:-4] - 0.5).abs().max() < 0.01


def test_every_head_of_deep_supervision_is_scaled_up():
    images = torch.rand(2, 1, 16, 16)
    heads = LowResolutionFirst(SimpleNamespace(progress=0.0))(images, Watched(outputs=3))
    assert [tuple(head.shape) for head in heads] == [(2, 1, 16, 16)] * 3
    torch.testing.assert_close(heads[2], 2 * heads[1])


def test_gradients_reach_the_network():
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    LowResolutionFirst(SimpleNamespace(progress=0.0))(torch.rand(1, 1, 8, 8), network).sum().backward()
    assert network.weight.grad is not None
    assert network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [({"share": -0.1}, "share is -0.1"), ({"share": 1.1}, "share is 1.1"), ({"scale": 0}, "scale is 0")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LowResolutionFirst(SimpleNamespace(progress=0.0), **options)
