"""Anchor sizes from annotated boxes: of the size of the objects, as the network sees them."""

from __future__ import annotations

import numpy as np
import pytest

from monai_seg.data import anchor_sizes
from monai_seg.data.box_fingerprint import best_overlap, box_sides


def record(height: float, width: float, size=(100, 200)) -> dict:
    box = [10.0, 20.0, 10.0 + width, 20.0, 10.0 + width, 20.0 + height, 10.0, 20.0 + height]
    return {"image": "a.png", "annotations": [{"category": "cell", "segmentation": [box]}], "size": list(size)}


def test_sides_are_those_that_the_network_sees():
    found = box_sides([record(10, 40), record(20, 20, (400, 100)), {"image": "b.png"}], 100)
    assert found.tolist() == [[5, 20], [5, 5]]


def test_overlaps_by_hand():
    # A box of 8 x 16 has its own anchor at ratio 2 with an area of 128; a square of 8 covers half of it.
    sides = np.array([[8.0, 16.0]])
    assert best_overlap(sides, [128**0.5], [2.0])[0] == pytest.approx(1)
    assert best_overlap(sides, [8], [1.0])[0] == pytest.approx(0.5)


@pytest.mark.parametrize("side", [6, 13, 50])
def test_objects_of_one_size_have_an_anchor_of_that_size(side):
    sizes = anchor_sizes([record(side, side, (256, 256))], 256)
    assert len(sizes) == 4
    assert min(abs(size - side) for size in sizes) <= 1
    assert sizes == [sizes[0] * 2**level for level in range(4)]
    # A network that sees half the size gets anchors of half the size.
    assert min(abs(size - side / 2) for size in anchor_sizes([record(side, side, (256, 256))], 128)) <= 1


def test_sizes_grow_with_the_spread_of_the_objects():
    sizes = anchor_sizes([record(side, side, (256, 256)) for side in (8, 16, 32, 64)], 256, level_count=4)
    assert sizes == [8, 16, 32, 64]


def test_nothing_to_go_by():
    with pytest.raises(ValueError, match="no object is annotated"):
        anchor_sizes([{"image": "a.png", "annotations": [], "size": [10, 10]}], 256)
