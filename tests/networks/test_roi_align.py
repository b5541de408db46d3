"""RoIAlign by interpolation: torchvision's in 2D, closed forms in 3D; and masks put back where they came from."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_seg.networks.roi_align import paste_masks, roi_align


def random_boxes(count: int, size: tuple[int, ...], seed: int, scale: float) -> torch.Tensor:
    """Also some that reach out of the image."""
    draw = torch.Generator().manual_seed(seed)
    extent = torch.tensor(size) / scale
    ends = torch.rand(2, count, len(size), generator=draw) * extent * 1.3 - 0.15 * extent
    return torch.cat([ends.amin(dim=0), ends.amax(dim=0)], dim=1)


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([1.0, 0.25]),
)
def test_pictures_are_those_of_torchvision_with_their_gradients(size, counts, cells, ratio, scale):
    features = torch.rand(len(counts), 3, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    boxes = [random_boxes(count, size, seed, scale) for seed, count in enumerate(counts)]
    ours = roi_align(features, boxes, cells, scale, ratio)
    swapped = [box[:, [1, 0, 3, 2]] for box in boxes]
    theirs = torchvision.ops.roi_align(features, swapped, cells, scale, ratio, aligned=True)
    assert torch.allclose(ours, theirs, atol=1e-5)
    weights = torch.rand(ours.shape, generator=torch.Generator().manual_seed(1))
    (mine,) = torch.autograd.grad((ours * weights).sum(), features, retain_graph=True)
    (wanted,) = torch.autograd.grad((theirs * weights).sum(), features)
    assert torch.allclose(mine, wanted, atol=1e-5)


def test_volumes_that_rise_evenly_give_the_middles_of_the_cells():
    """Where the features are a plane, the average over a cell is the value at its middle."""
    axes = torch.meshgrid(*[torch.arange(length) + 0.5 for length in (10, 12, 14)], indexing="ij")
    features = torch.stack([*axes, axes[0] + 2 * axes[1] - 3 * axes[2]])[None]
    box = torch.tensor([[2.0, 3.0, 1.0, 8.0, 7.5, 13.0], [1.0, 1.0, 1.0, 2.0, 9.0, 5.0]])
    found = roi_align(features, [2 * box], 3, spatial_scale=0.5)
    for one, pooled in zip(box, found, strict=True):
        middles = [one[a] + (one[a + 3] - one[a]) * (torch.arange(3) + 0.5) / 3 for a in range(3)]
        grid = torch.meshgrid(*middles, indexing="ij")
        wanted = torch.stack([*grid, grid[0] + 2 * grid[1] - 3 * grid[2]])
        assert torch.allclose(pooled, wanted, atol=1e-4)


def test_a_volume_of_equal_planes_is_the_picture():
    picture = torch.rand(1, 2, 7, 9, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[1.0, 2.0, 5.5, 8.0]])
    flat = roi_align(picture, [box], 4)
    deep = roi_align(picture[..., None].expand(-1, -1, -1, -1, 6), [torch.tensor([[1.0, 2.0, 1.0, 5.5, 8.0, 5.0]])], 4)
    assert torch.allclose(deep, flat[..., None].expand_as(deep), atol=1e-5)


def test_outside_there_is_nothing():
    features = torch.ones(1, 1, 6, 6, 6)
    assert roi_align(features, [torch.tensor([[20.0] * 3 + [30.0] * 3])], 2).abs().max() == 0


@pytest.mark.parametrize("dims", [2, 3])
def test_a_mask_that_is_cut_out_and_pasted_is_the_same_again(dims):
    size = (20, 16, 18)[:dims]
    mask = torch.zeros(size)
    mask[tuple([slice(4, 12)] * dims)] = 1
    mask[tuple([slice(6, 8)] * dims)] = 0
    box = torch.tensor([[2.0] * dims + [14.0] * dims])
    small = roi_align(mask[None, None], [box], 12, sampling_ratio=1)[:, 0]  # a cell is a pixel
    assert torch.equal(paste_masks(small, box, size)[0], mask.to(torch.uint8))


def test_pasting_stays_inside_of_box_and_image():
    boxes = torch.tensor([[-3.0, 2.0, 4.0, 30.0], [8.2, 1.0, 9.9, 2.0], [40.0, 40.0, 50.0, 50.0]])
    pasted = paste_masks(torch.ones(3, 7, 7), boxes, (10, 12))
    wanted = torch.zeros(3, 10, 12, dtype=torch.uint8)
    wanted[0, :4, 2:] = wanted[1, 8:10, 1:2] = 1
    assert torch.equal(pasted, wanted)
    assert paste_masks(torch.zeros(0, 7, 7), torch.zeros(0, 4), (10, 12)).shape == (0, 10, 12)
