"""Boundary IoU: hand-worked, against the reference's erosions written with SciPy, borders, forms and empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from monai_seg.metrics import IoU
from monai_seg.metrics.boundary_iou import BoundaryIoU, band

quick = settings(deadline=None, max_examples=60, derandomize=True)
CLASSES = 3
PAIRS = array_shapes(min_dims=2, max_dims=3, max_side=9).flatmap(
    lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, CLASSES - 1))] * 2)
)


def batched(*maps: np.ndarray | list) -> list[torch.Tensor]:
    return [torch.as_tensor(np.array(labels))[None, None] for labels in maps]


def band_by_scipy(mask: np.ndarray, width: int) -> np.ndarray:
    """``mask_to_boundary`` of the reference: what ``width`` erosions by a box take away, the outside being zero."""
    eroded = ndimage.binary_erosion(mask, np.ones((3,) * mask.ndim), iterations=width, border_value=0)
    return mask & ~eroded


def by_scipy(prediction: np.ndarray, reference: np.ndarray, width: int | None = None) -> list[float]:
    if width is None:
        width = max(1, round(0.02 * math.sqrt(sum(size**2 for size in reference.shape))))
    values = []
    for label in range(1, CLASSES):
        a, b = (band_by_scipy(labels == label, width) for labels in (prediction, reference))
        values.append((a & b).sum() / (a | b).sum() if (a | b).any() else math.nan)
    return values


def smooth(shape: tuple[int, ...], sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((CLASSES, *shape))
    return ndimage.gaussian_filter(noise, (0, *[sigma] * len(shape))).argmax(0)


def test_hand_worked_shifted_square():
    # Squares of 6 x 6, one column apart: bands of 20 pixels, of which the shared rows and columns are 2 * 5 + 0.
    prediction, reference = np.zeros((2, 10, 10), np.int64)
    prediction[2:8, 1:7] = reference[2:8, 2:8] = 1
    assert BoundaryIoU(2, width=1)(*batched(prediction, reference)).item() == 10 / 30
    # Two pixels wide: 32 pixels each; the shared ones are 2 * 2 * 5 in rows and 2 * 2 in columns.
    assert BoundaryIoU(2, width=2)(*batched(prediction, reference)).item() == 24 / 40
    # Three fill the square.
    assert BoundaryIoU(2, width=3)(*batched(prediction, reference)).item() == 30 / 42


def test_the_edge_of_the_image_is_an_outline():
    full = torch.ones(1, 5, 6, dtype=torch.uint8)
    assert band(full, 1)[0].tolist() == [[1] * 6, *[[1, 0, 0, 0, 0, 1]] * 3, [1] * 6]
    assert torch.equal(band(full, 2)[0], torch.where(band(full, 2)[0] > 0, 1, 0).to(torch.uint8))
    assert band(full, 2).sum() == 28
    assert torch.equal(band(full, 3), full)
    assert torch.equal(band(full, 100), full)


@pytest.mark.parametrize("ndim", [2, 3])
def test_default_width_is_a_share_of_the_diagonal(ndim):
    # 0.02 * sqrt(160**2 + 120**2) = 4.0; 0.02 * sqrt(3 * 20**2) = 0.7; rounded, never less than one voxel.
    shape, widths = (
        ((160, 120), {0.02: 4, 0.019: 4, 0.0125: 2, 0.001: 1}) if ndim == 2 else ((20, 20, 20), {0.02: 1, 0.1: 3})
    )
    maps = batched(smooth(shape, 3, 0), smooth(shape, 3, 1))
    for ratio, width in widths.items():
        by_ratio = BoundaryIoU(CLASSES, dilation_ratio=ratio)(*maps)
        assert torch.equal(by_ratio, BoundaryIoU(CLASSES, width=width)(*maps))
        assert not torch.equal(by_ratio, BoundaryIoU(CLASSES, width=width + 1)(*maps))


@quick
@given(PAIRS, st.integers(1, 6))
def test_agrees_with_erosions(maps, width):
    values = BoundaryIoU(CLASSES, width=width)(*batched(*maps))[0]
    assert values.tolist() == pytest.approx(by_scipy(*maps, width), abs=0, nan_ok=True)


@pytest.mark.parametrize("shape", [(200, 170), (40, 36, 28), (64, 1, 50)], ids=str)
@pytest.mark.parametrize("width", [None, 1, 2, 5, 8, 15])
def test_agrees_with_erosions_on_larger_maps(shape, width):
    maps = smooth(shape, 6, 0), smooth(shape, 6, 1)
    assert BoundaryIoU(CLASSES, width=width)(*batched(*maps))[0].tolist() == by_scipy(*maps, width)


def test_wide_bands_are_the_masks():
    maps = batched(smooth((30, 20), 3, 0), smooth((30, 20), 3, 1))
    assert torch.equal(BoundaryIoU(CLASSES, width=15)(*maps), IoU(CLASSES)(*maps))


def test_outlines_count_more_than_interiors():
    reference = np.zeros((40, 40), np.int64)
    reference[5:35, 5:35] = 1
    hollow = reference.copy()
    hollow[15:25, 15:25] = 0
    prediction, filled, target = batched(reference, hollow, reference)
    assert BoundaryIoU(2, width=2)(prediction, target).item() == 1.0
    narrow, plain = BoundaryIoU(2, width=2)(filled, target).item(), IoU(2)(filled, target).item()
    assert narrow < plain < 1.0


def test_forms_of_the_masks_do_not_matter():
    maps = [torch.from_numpy(np.stack([smooth((30, 26), 3, seed + case) for case in range(2)])) for seed in (0, 5)]
    prediction, reference = (labels[:, None] for labels in maps)
    whole = BoundaryIoU(CLASSES, include_background=True, width=2)(prediction, reference)
    assert whole.shape == (2, CLASSES)
    for turn in (lambda x: x.flip(2), lambda x: x.rot90(1, (2, 3)), lambda x: x.float(), lambda x: x.to(torch.int32)):
        metric = BoundaryIoU(CLASSES, include_background=True, width=2)
        assert torch.equal(metric(turn(prediction), turn(reference)), whole)
        assert torch.equal(metric(list(prediction), list(reference)), whole)
    apart = [torch.cat([labels == label for label in range(CLASSES)], 1) for labels in (prediction, reference)]
    assert torch.equal(BoundaryIoU(include_background=True, width=2)(*apart), whole)
    overlapping = [torch.cat([mask, mask[:, :1] | mask[:, 1:2]], 1) for mask in apart]
    values = BoundaryIoU(include_background=True, width=2)(*overlapping)
    assert torch.equal(values[:, :CLASSES], whole)
    last = [mask[:, -1:] for mask in overlapping]
    assert torch.equal(values[:, CLASSES:], BoundaryIoU(1, include_background=True, width=2)(*last))


def test_hundreds_of_classes():
    maps = batched(*np.random.default_rng(0).integers(0, 400, (2, 20, 20)))
    assert BoundaryIoU(400, width=1)(*maps).shape == (1, 399)
    assert torch.equal(BoundaryIoU(400, width=1)(maps[0], maps[0].clone()).nan_to_num(1.0), torch.ones(1, 399).double())


def test_empty_masks():
    prediction = torch.tensor([[1, 0], [0, 0], [0, 0], [1, 1]])[:, None, None]
    reference = torch.tensor([[0, 0], [0, 1], [0, 0], [1, 0]])[:, None, None]
    values = BoundaryIoU(2)(prediction, reference)
    assert values.dtype == torch.float64
    assert values.flatten().tolist() == pytest.approx([0.0, 0.0, math.nan, 0.5], nan_ok=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation_ratio": 0.0}, r"dilation_ratio is 0\.0; give a share"),
        ({"dilation_ratio": math.nan}, "dilation_ratio is nan"),
        ({"width": 0}, "width is 0; give whole voxels"),
        ({"width": 1.5}, r"width is 1\.5; give whole voxels"),
    ],
)
def test_impossible_widths_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BoundaryIoU(2, **options)
