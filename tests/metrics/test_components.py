"""Connected components: against SciPy and scikit-image, along winding shapes, at every border, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.data import MetaTensor
from scipy import ndimage
from skimage.measure import label as skimage_label

from monai_seg.metrics import components
from monai_seg.metrics.components import connected_components

quick = settings(deadline=None, max_examples=150, derandomize=True)
MAPS = array_shapes(min_dims=2, max_dims=4, max_side=6).flatmap(
    lambda shape: st.tuples(
        arrays(np.int64, shape, elements=st.integers(0, 2)),
        st.integers(1, len(shape) - 1),
    )
)


def numbered(labels: np.ndarray, connectivity: int | None = None) -> np.ndarray:
    return connected_components(torch.from_numpy(labels.copy()), connectivity).numpy()


def by_scipy(labels: np.ndarray, connectivity: int) -> np.ndarray:
    """SciPy's components of each map and label, numbered again by their first voxels."""
    structure = ndimage.generate_binary_structure(labels.ndim - 1, connectivity)
    parts = np.zeros(labels.shape, np.int64)
    for each, part in zip(labels, parts, strict=True):
        for value in np.unique(each[each != 0]):
            found = ndimage.label(each == value, structure)[0]
            part[found > 0] = found[found > 0] + parts.max()
    _, first, index = np.unique(parts, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    if (parts == 0).any():
        # Background is no component: those that begin before it move up by one.
        number[number < number[0]] += 1
        number[0] = 0
    else:
        number += 1
    return number[index].reshape(labels.shape)


def by_skimage(labels: np.ndarray, connectivity: int) -> np.ndarray:
    parts = np.stack([skimage_label(each, connectivity=connectivity) for each in labels])
    counts = parts.reshape(len(parts), -1).max(1)
    before = (np.cumsum(counts) - counts).reshape(-1, *[1] * (labels.ndim - 1))
    return np.where(parts > 0, parts + before, 0)


def blobs(shape: tuple[int, ...], sigma: float, classes: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((classes, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 0, *[sigma] * (len(shape) - 1)))
    return np.where(smooth.max(0) > smooth.std(), smooth.argmax(0) + 1, 0)


def serpentine(size: int) -> np.ndarray:
    labels = np.zeros((1, size, size), np.uint8)
    labels[:, ::2] = labels[:, 1::4, -1] = labels[:, 3::4, 0] = 1
    return labels


def comb(size: int) -> np.ndarray:
    labels = np.zeros((1, size, size), np.uint8)
    labels[:, :, ::2] = labels[:, -1] = 1
    return labels


def spiral(size: int) -> np.ndarray:
    labels = np.zeros((1, size, size), np.uint8)
    y, x, dy, dx = 0, 0, 0, 1
    labels[0, y, x] = 1
    for length in [size - 1, *(each for side in range(size - 1, 0, -2) for each in (side, side))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            labels[0, y, x] = 1
        dy, dx = dx, -dy
    return labels


@quick
@given(MAPS)
def test_agrees_with_scipy(drawn):
    labels, connectivity = drawn
    np.testing.assert_array_equal(numbered(labels, connectivity), by_scipy(labels, connectivity))


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(blobs((3, 60, 67), 2.0, 3), id="2d blobs"),
        pytest.param(blobs((2, 24, 30, 21), 1.5, 3), id="3d blobs"),
        pytest.param(np.random.default_rng(1).integers(0, 2, (2, 20, 140, 9)), id="3d salt and pepper"),
        pytest.param(np.random.default_rng(2).integers(0, 4, (1, 130, 129)), id="2d noise of three labels"),
    ],
)
def test_agrees_with_skimage_on_larger_maps(labels, connectivity):
    connectivity = min(connectivity, labels.ndim - 1)
    np.testing.assert_array_equal(numbered(labels, connectivity), by_skimage(labels, connectivity))


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_parts_in_which_runs_are_looked_at_do_not_matter(monkeypatch, chunk):
    labels = np.random.default_rng(3).integers(0, 3, (2, 7, 6, 8))
    whole = numbered(labels)
    monkeypatch.setattr(components, "CHUNK", chunk)
    np.testing.assert_array_equal(numbered(labels), whole)


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("shape", [serpentine(65), comb(64), spiral(65)], ids=["serpentine", "comb", "spiral"])
def test_winding_shapes_are_one_component(shape, turns, connectivity):
    labels = np.rot90(shape, turns, axes=(1, 2))
    np.testing.assert_array_equal(numbered(labels, connectivity), labels)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("shape", [serpentine(513), comb(512), spiral(257)], ids=["serpentine", "comb", "spiral"])
def test_long_shapes_take_few_rounds(monkeypatch, shape, turns):
    calls = []
    for name in ("_settle", "_apart"):
        original = getattr(components, name)
        monkeypatch.setattr(components, name, lambda *args, own=original: (calls.append(len(args[1])), own(*args))[1])
    labels = np.rot90(shape, turns, axes=(1, 2))
    assert numbered(labels).max() == 1
    # One call to find the pairs, and two in each round. Joined in the wrong order, a comb takes a round for each tooth.
    assert 3 <= len(calls) <= 9


def test_checkerboards_touch_at_corners_only():
    labels = np.indices((1, 9, 8)).sum(0) % 2
    np.testing.assert_array_equal(numbered(labels, 2), labels)
    assert numbered(labels, 1).max() == labels.sum()
    cubes = np.indices((1, 4, 4, 4)).sum(0) % 2
    assert [numbered(cubes, connectivity).max() for connectivity in (1, 2, 3)] == [cubes.sum(), 1, 1]
    corners = np.zeros((1, 2, 2, 2), np.int64)
    corners[0, 0, 0, 0] = corners[0, 1, 1, 1] = 1
    assert [numbered(corners, connectivity).max() for connectivity in (1, 2, 3)] == [2, 2, 1]


def test_different_labels_do_not_touch_and_equal_ones_not_through_others():
    labels = np.array([[[1, 1, 2, 2, 1], [3, 2, 2, 3, 3], [3, 3, 3, 3, 1]]])
    expected = np.array([[[1, 1, 2, 2, 3], [4, 2, 2, 4, 4], [4, 4, 4, 4, 5]]])
    np.testing.assert_array_equal(numbered(labels), expected)


def test_neither_the_ends_of_rows_nor_the_maps_of_a_batch_touch():
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[0, 0, 2] = labels[0, 1, 0] = labels[0, 2, 2] = 1
    labels[1, 0, 0] = labels[1, 0, 1] = labels[1, 2, 1] = 1
    expected = [[[0, 0, 1], [2, 0, 0], [0, 0, 3]], [[4, 4, 0], [0, 0, 0], [0, 5, 0]]]
    assert numbered(labels).tolist() == expected


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (2, 7, 1), (1, 1, 1, 5), (2, 4, 1, 3), (1, 5, 1, 1), (3, 9)])
def test_axes_of_one_voxel(shape):
    labels = np.random.default_rng(4).integers(0, 3, shape)
    np.testing.assert_array_equal(numbered(labels), by_scipy(labels, len(shape) - 1))
    assert numbered(np.ones_like(labels)).reshape(shape[0], -1).tolist() == [
        [number] * math.prod(shape[1:]) for number in range(1, shape[0] + 1)
    ]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_dtype_and_layout_do_not_matter(dtype):
    labels = torch.randint(0, 2, (2, 9, 10, 11), generator=torch.Generator().manual_seed(0))
    expected = connected_components(labels)
    assert expected.dtype == torch.int32
    assert torch.equal(connected_components(labels.to(dtype)), expected)
    strided = labels.to(dtype).permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
    assert torch.equal(connected_components(strided), expected)
    assert type(connected_components(MetaTensor(labels.to(dtype)))) is torch.Tensor


def test_large_and_negative_labels_are_labels_too():
    labels = torch.tensor([[[-1, 2**40, -1], [0, 2**40, 0], [5, 0, -1]]])
    assert connected_components(labels).tolist() == [[[1, 2, 3], [0, 2, 0], [4, 0, 5]]]


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (2, 4, 0), (1, 6, 6), (2, 3, 4, 5)])
def test_nothing_gives_nothing(shape):
    numbers = connected_components(torch.zeros(shape, dtype=torch.uint8))
    assert numbers.shape == shape
    assert not numbers.any()


@pytest.mark.parametrize("connectivity", [0, 3, -1])
def test_impossible_connectivity_names_the_range(connectivity):
    with pytest.raises(ValueError, match=rf"connectivity is {connectivity}; maps with 2 axes have 1 \(faces\) to 2"):
        connected_components(torch.ones(1, 3, 3, dtype=torch.uint8), connectivity)


@pytest.mark.parametrize("labels", [torch.ones(1, 3, 3), torch.ones(3, dtype=torch.uint8)])
def test_fractions_and_missing_axes_are_refused(labels):
    with pytest.raises(ValueError, match=r"give whole numbers of shape \(N, H, W"):
        connected_components(labels)
