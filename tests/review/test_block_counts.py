"""States of pixels and their counts in blocks: by hand, against whole arrays, in bands of any height."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hand_worked_scene import BLOCKS, PREDICTION, REFERENCE, STATES
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_seg.review.block_counts import BlockCounts, BlockSums, pixel_states


def test_states_of_the_hand_worked_scene():
    states = pixel_states(REFERENCE > 0, PREDICTION > 0)
    assert states.dtype == np.uint8
    assert states.tolist() == STATES


def test_blocks_of_the_hand_worked_scene(tmp_path):
    blocks = BlockCounts(4, 6, 4)
    blocks.add(np.array(STATES))
    assert blocks.counts.tolist() == BLOCKS
    assert blocks.pixels.tolist() == [[16, 8]]
    blocks.write_csv(tmp_path / "blocks.csv")
    head, *rows = csv.reader((tmp_path / "blocks.csv").open())
    assert head == ["row", "col", "pixels", "reference_share", "prediction_share", "TP", "FP", "FN", "TN"]
    assert rows == [
        ["0", "0", "16", "0.25", "0.3125", "3", "2", "1", "10"],
        ["0", "4", "8", "0.5", "0.25", "2", "0", "2", "4"],
    ]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 9), st.integers(0, 2**32 - 1), st.data())
def test_bands_of_any_height_count_as_the_whole_array(height, width, size, seed, data):
    reference, prediction = np.random.default_rng(seed).random((2, height, width)) < 0.4
    blocks, row = BlockCounts(height, width, size), 0
    while row < height:
        stop = min(height, row + data.draw(st.integers(1, height)))
        blocks.add(pixel_states(reference[row:stop], prediction[row:stop]))
        row = stop
    masks = (~reference & ~prediction, reference & prediction, ~reference & prediction, reference & ~prediction)
    for i, top in enumerate(range(0, height, size)):
        for j, left in enumerate(range(0, width, size)):
            part = np.s_[top : top + size, left : left + size]
            assert blocks.counts[i, j].tolist() == [mask[part].sum() for mask in masks]
    assert blocks.counts.shape == (-(-height // size), -(-width // size), 4)


def test_sums_of_fractions():
    sums = BlockSums(3, 4, 2, np.float64)
    sums.add(np.arange(12).reshape(3, 4) / 4)
    assert (sums.sums / sums.pixels).tolist() == [[2.5 / 4, 4.5 / 4], [8.5 / 4, 10.5 / 4]]


def test_a_side_that_is_none_is_refused():
    with pytest.raises(ValueError, match="the side of a block is 0; give pixels, 1 or more"):
        BlockCounts(4, 6, 0)
