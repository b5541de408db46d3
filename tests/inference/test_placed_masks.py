"""Masks as small as their objects: nothing is lost on the way there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from monai_seg.inference.placed_masks import PlacedMask, instance_map

BITS = st.integers(0, 1)
MASKS = array_shapes(min_dims=2, max_dims=3, max_side=6).flatmap(lambda shape: arrays(np.uint8, shape, elements=BITS))


def pasted(mask: PlacedMask, size) -> np.ndarray:
    target = np.zeros(size, np.uint8)
    mask.paste(target)
    return target


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(0, 3), st.integers(1, 3))
def test_cut_out_and_pasted_elsewhere_is_the_same(mask, shift, step):
    placed = PlacedMask.cut_out(mask, (shift,) * mask.ndim)
    size = tuple(length + shift for length in mask.shape)
    expected = np.zeros(size, np.uint8)
    expected[(slice(shift, None),) * mask.ndim] = mask
    assert np.array_equal(pasted(placed, size), expected)
    assert placed.area == mask.sum()
    assert placed.pixels.size == 0 or all(placed.pixels.any(axis=axis).any() for axis in range(mask.ndim))
    every = (slice(None, None, step),) * mask.ndim
    assert np.array_equal(pasted(placed.thinned(step), expected[every].shape), expected[every])
    code = placed.code(size)
    assert np.array_equal(coco_mask.decode(code).reshape(size), expected)
    assert isinstance(code["counts"], str)


@settings(max_examples=30, deadline=None)
@given(st.lists(arrays(np.uint8, (5, 6), elements=BITS), min_size=1, max_size=3))
def test_united_masks_hold_what_any_of_them_holds(masks):
    first, *others = [mask for mask in map(PlacedMask.cut_out, masks) if mask.area] or [PlacedMask.cut_out(masks[0])]
    assert np.array_equal(pasted(first.united(others), (5, 6)), np.maximum.reduce(masks))


def test_the_part_in_a_box():
    mask = np.zeros((8, 9), np.uint8)
    mask[2:6, 3:8] = 1
    placed = PlacedMask.cut_out(mask)
    assert placed.box == ((2, 3), (6, 8))
    assert placed.within(((0, 0), (3, 4))).tolist() == [[True]]
    assert placed.within(((4, 5), (20, 20))).sum() == 2 * 3
    assert placed.within(((6, 0), (8, 9))).size == 0


def test_the_first_mask_is_seen_where_two_overlap():
    masks = [PlacedMask((0, 0), np.ones((2, 2), bool)), PlacedMask((1, 1), np.ones((2, 2), bool))]
    assert instance_map(masks, (3, 4)).tolist() == [[1, 1, 0, 0], [1, 1, 2, 0], [0, 2, 2, 0]]
    assert instance_map([], (3, 4)).dtype == np.uint16
    with pytest.raises(ValueError, match="65536 objects do not fit"):
        instance_map(masks * 2**15, (3, 4))
