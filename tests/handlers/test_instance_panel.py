"""The picture of annotated and found objects: what is drawn where, planes of a volume, and what may be missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_seg.handlers.instance_panel import ANNOTATED, FOUND, instance_panel
from monai_seg.handlers.outlines import contours

TILE, GAP, HEAD = 480, 6, 26
NONE = {"mask": torch.zeros(0, 48, 48), "label": torch.zeros(0), "label_scores": torch.zeros(0)}


def square(top, left, bottom, right, size=(48, 48)):
    mask = torch.zeros(1, *size, dtype=torch.uint8)
    mask[0, top:bottom, left:right] = 1
    return mask


def found(mask, *scores):
    count = len(mask)
    return {"mask": mask, "label": torch.zeros(count, dtype=torch.int64), "label_scores": torch.tensor(scores)}


def drawn(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the second tile has a colour, but for the captions."""
    tile = picture[HEAD : HEAD + TILE, TILE + GAP : 2 * TILE + GAP]
    return (np.abs(tile.astype(int) - colour) <= 2).all(-1)


def extent(where: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(where)
    return [int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1]


def test_size_and_empty_lists():
    picture = instance_panel(torch.zeros(1, 48, 48), NONE, NONE)
    assert (picture.shape, picture.dtype) == ((HEAD + TILE + HEAD, 2 * (TILE + GAP), 3), np.uint8)
    assert not drawn(picture, FOUND).any()
    assert not drawn(picture, ANNOTATED).any()


def test_outlines_lie_on_the_edges_of_the_objects():
    picture = instance_panel(torch.zeros(1, 48, 48), {"mask": square(10, 20, 30, 44), "label": [0]}, NONE)
    # ten pixels of the picture are one of the image
    assert extent(drawn(picture, ANNOTATED)) == pytest.approx([100, 200, 300, 440], abs=1)
    assert not drawn(picture, ANNOTATED)[110:290, 210:430].any()


def test_an_outline_is_that_of_every_pixel_and_hole():
    ring = np.zeros((9, 9))
    ring[2:7, 1:8] = 1
    ring[4, 4] = 0
    outer, hole = sorted(contours(ring), key=len, reverse=True)
    assert [outer.min(axis=0).tolist(), outer.max(axis=0).tolist()] == [[2, 1], [7, 8]]
    assert [hole.min(axis=0).tolist(), hole.max(axis=0).tolist()] == [[4, 4], [5, 5]]
    assert contours(np.zeros((4, 4))) == []
    whole = contours(np.ones((3, 4)))[0]
    assert [whole.min(axis=0).tolist(), whole.max(axis=0).tolist()] == [[0, 0], [3, 4]]


def test_found_objects_have_boxes_and_those_below_the_threshold_are_left_out():
    masks = torch.cat([square(10, 10, 20, 20), square(30, 30, 40, 46)])
    boxes = torch.tensor([[8.0, 8, 22, 22], [30, 30, 40, 46]])
    picture = instance_panel(torch.zeros(1, 48, 48), None, found(masks, 0.3, 0.8) | {"box": boxes}, ("cell",), 0.5)
    lines = drawn(picture, FOUND)
    assert not lines[:250].any()
    assert extent(lines) == pytest.approx([270, 300, 400, 460], abs=20)  # the caption stands above
    low = instance_panel(torch.zeros(1, 48, 48), None, found(masks, 0.3, 0.8) | {"box": boxes}, ("cell",), 0.1)
    assert extent(drawn(low, FOUND)[85:230, 70:230]) == pytest.approx([0, 10, 135, 150], abs=2)


def test_boxes_alone_will_do():
    boxes = {"box": torch.tensor([[10.0, 20, 30, 44]]), "label": torch.tensor([0])}
    picture = instance_panel(torch.zeros(1, 48, 48), boxes, {**boxes, "label_scores": torch.tensor([0.9])})
    assert extent(drawn(picture, FOUND)[100:]) == pytest.approx([0, 200, 200, 440], abs=2)


def test_a_caption_hides_neither_another_caption_nor_leaves_the_picture():
    masks = torch.cat([square(0, 0, 4, 4), square(1, 1, 5, 5), square(44, 44, 48, 48)])
    few, many = (
        instance_panel(torch.zeros(1, 48, 48), None, found(masks[part], *scores), ("a long name of a class",))
        for part, scores in ((slice(1), (0.9,)), (slice(3), (0.9, 0.8, 0.7)))
    )
    lightened = [(each[HEAD : HEAD + TILE, TILE + GAP :] > 200).all(-1).sum() for each in (few, many)]
    assert 2.5 * lightened[0] < lightened[1] < 3.5 * lightened[0]  # three captions, whole


def test_crowds_are_dashed():
    reference = {"mask": square(10, 10, 40, 40), "label": torch.tensor([0])}
    whole, dashed = (
        drawn(instance_panel(torch.zeros(1, 48, 48), reference | {"crowd": crowd}, NONE), ANNOTATED).sum()
        for crowd in (torch.tensor([False]), torch.tensor([True]))
    )
    assert 0.35 * whole < dashed < 0.65 * whole


def test_large_pictures_are_shrunk_and_wide_ones_framed():
    blank = torch.zeros(3, 600, 3000)
    empty = NONE | {"mask": torch.zeros(0, 600, 3000)}
    assert instance_panel(blank, empty, empty).shape == (HEAD + 1024 + HEAD, 2 * (1024 + GAP), 3)


def test_a_volume_shows_the_middle_of_the_planes_that_cut_most_objects():
    masks = torch.zeros(2, 48, 48, 9, dtype=torch.uint8)
    masks[0, 4:14, 20:40, 1:6] = 1
    masks[1, 30:40, 4:8, 3:8] = 1  # planes 3 to 5 cut both
    volume = MetaTensor(torch.zeros(1, 48, 48, 9))
    volume[..., 4] = torch.linspace(0, 1, 48)[:, None]
    picture = instance_panel(volume, {"mask": masks[:1], "label": [0]}, found(masks[1:], 0.9))
    # the first axis goes to the right, the second one upwards
    assert extent(drawn(picture, ANNOTATED)) == pytest.approx([80, 40, 280, 140], abs=1)
    assert extent(drawn(picture, FOUND)[400:]) == pytest.approx([0, 300, 40, 400], abs=2)
    assert picture[HEAD + 200, 5].tolist() < picture[HEAD + 200, TILE - 5].tolist()
    boxes = {"box": torch.tensor([[30.0, 4, 3, 40, 8, 8]]), "label": [0], "label_scores": torch.tensor([0.9])}
    again = instance_panel(volume, {"mask": masks[:1], "label": [0]}, boxes)
    assert extent(drawn(again, FOUND)[400:]) == pytest.approx([0, 300, 40, 400], abs=2)


def test_thick_slices_keep_their_proportions():
    volume, empty = torch.zeros(1, 10, 40, 3), NONE | {"mask": torch.zeros(0, 10, 40, 3)}
    volume[:, 0] = 1
    tile = instance_panel(volume, None, empty, spacing=(4.0, 1.0, 9.0))[HEAD : HEAD + TILE, :TILE]
    assert (tile[:, 10] == 255).all()  # four times as wide as it is without spacing: a square
