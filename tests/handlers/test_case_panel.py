"""The picture of a case: its size, the colours where they must be, the planes of a volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_seg.handlers.panel import CLASS_COLOURS, LEGEND, case_panel

TILE, PITCH, HEAD = 240, 246, 26
WIDTH = 4 * PITCH
COLOUR = dict(LEGEND)


def tile(picture: np.ndarray, column: int, row: int = 0) -> np.ndarray:
    top, left = HEAD + row * PITCH, column * PITCH
    return picture[top : top + TILE, left : left + TILE]


def tinted(colour: tuple[int, int, int]) -> list[int]:
    """A colour over black."""
    return [int(0.55 * channel) for channel in colour]


@pytest.fixture
def quarters() -> tuple[torch.Tensor, torch.Tensor]:
    """Reference and prediction: hit and false alarm above, missed and wrong class below, background in the middle."""
    reference, prediction = torch.zeros(2, 1, TILE, TILE)
    reference[:, :100, :100], prediction[:, :100, :100] = 1, 1
    prediction[:, :100, 140:] = 1
    reference[:, 140:, :100] = 1
    reference[:, 140:, 140:], prediction[:, 140:, 140:] = 1, 2
    return reference, prediction


def test_errors_have_their_colours(quarters):
    picture = case_panel(torch.zeros(1, TILE, TILE), *quarters)
    assert picture.shape == (HEAD + PITCH + HEAD, WIDTH, 3)
    assert picture.dtype == np.uint8
    errors = tile(picture, 3)
    assert errors[50, 50].tolist() == tinted(COLOUR["hit"])
    assert errors[50, 200].tolist() == tinted(COLOUR["false alarm"])
    assert errors[200, 50].tolist() == tinted(COLOUR["missed"])
    assert errors[200, 200].tolist() == tinted(COLOUR["wrong class"])
    assert errors[120, 120].tolist() == [0, 0, 0]
    counts = [(errors == tinted(colour)).all(-1).sum() for colour in COLOUR.values()]
    assert counts == [100 * 100] * 4


def test_reference_and_prediction_have_the_colours_of_their_classes(quarters):
    picture = case_panel(torch.zeros(1, TILE, TILE), *quarters)
    for column, labels in ((1, quarters[0]), (2, quarters[1])):
        for label in (1, 2):
            drawn = (tile(picture, column) == tinted(CLASS_COLOURS[label - 1])).all(-1)
            assert np.array_equal(drawn, (labels[0] == label).numpy())


def test_input_is_stretched_from_black_to_white_and_left_without_overlay(quarters):
    ramp = torch.linspace(-5, 20, TILE).expand(1, TILE, TILE)
    shown = tile(case_panel(ramp, *quarters), 0)
    assert (shown[..., 0] == shown[..., 2]).all()
    assert shown[0, 0, 0] == 0
    assert shown[0, -1, 0] == 255
    assert shown[0, TILE // 2, 0] == pytest.approx(128, abs=3)


def test_colour_images_keep_their_colours_and_two_channels_show_the_first():
    image = torch.zeros(3, TILE, TILE)
    image[0, :, :120] = 1
    empty = torch.zeros(1, TILE, TILE)
    assert tile(case_panel(image, empty, empty), 0)[0, 0].tolist() == [255, 0, 0]
    assert tile(case_panel(image[:2], empty, empty), 0)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("shape", "spacing", "visible"),
    [
        ((120, 240), None, (120, 240)),
        ((10, 5), None, (240, 120)),
        ((10, 10), (1.0, 2.0), (120, 240)),
        ((10, 20), (2.0, 1.0), (240, 240)),
        ((1, 1), None, (240, 240)),
        ((240, 1), None, (240, 1)),
    ],
)
def test_proportions_are_those_of_the_body(shape, spacing, visible):
    blank = torch.zeros(1, *shape)
    inside = (tile(case_panel(blank, blank, blank, spacing), 0) == 0).all(-1)
    assert (inside.any(1).sum(), inside.any(0).sum()) == visible
    assert inside.sum() == visible[0] * visible[1]


def test_a_volume_shows_the_three_planes_through_its_structure():
    reference = torch.zeros(1, 8, 8, 8)
    reference[0, 1, 6, 3] = 1
    blank = torch.zeros(1, 8, 8, 8)
    picture = case_panel(blank, reference, blank)
    assert picture.shape == (HEAD + 3 * PITCH + HEAD, WIDTH, 3)
    # A voxel is 30 pixels wide; planes are transposed and upside down: rows from the end of the second axis.
    for row, (horizontal, vertical) in enumerate([(1, 6), (1, 3), (6, 3)]):
        missed = (tile(picture, 3, row) == tinted(COLOUR["missed"])).all(-1)
        rows, columns = np.where(missed)
        assert (columns.min(), columns.max() + 1) == (30 * horizontal, 30 * horizontal + 30)
        assert (rows.min(), rows.max() + 1) == (30 * (7 - vertical), 30 * (7 - vertical) + 30)


def test_thick_slices_are_drawn_thick():
    blank = torch.zeros(1, 8, 8, 2)
    picture = case_panel(blank, blank, blank, (1.0, 1.0, 4.0))
    assert [(tile(picture, 0, row) == 0).all(-1).sum() for row in range(3)] == [TILE * TILE] * 3
    flat = case_panel(blank, blank, blank)
    assert [(tile(flat, 0, row) == 0).all(-1).sum() for row in range(3)] == [TILE * TILE, 60 * TILE, 60 * TILE]


def test_an_empty_reference_shows_the_middle():
    image = torch.zeros(1, 9, 9, 9)
    image[0, 4, 4, 4] = 1
    blank = torch.zeros(1, 9, 9, 9)
    picture = case_panel(image, blank, blank)
    assert [tile(picture, 0, row).max() for row in range(3)] == [255] * 3


def test_more_classes_than_colours_begin_again_and_meta_tensors_will_do():
    labels = torch.full((1, TILE, TILE), len(CLASS_COLOURS) + 1.0)
    picture = case_panel(MetaTensor(torch.zeros(1, TILE, TILE)), MetaTensor(labels), MetaTensor(labels))
    assert tile(picture, 1)[0, 0].tolist() == tinted(CLASS_COLOURS[0])


def test_the_legend_names_the_classes_in_their_colours():
    blank = torch.zeros(1, 4, 4)
    colours = [{tuple(pixel) for pixel in case_panel(blank, blank, blank, None, names)[-HEAD:].reshape(-1, 3).tolist()}
               for names in ((), ("anterior", "posterior"))]  # fmt: skip
    assert set(CLASS_COLOURS[:2]) & colours[0] == set()
    assert set(CLASS_COLOURS) & colours[1] == set(CLASS_COLOURS[:2])
    assert set(COLOUR.values()) <= colours[0] & colours[1]


def test_masks_that_overlap_have_a_row_each(quarters):
    reference, prediction = (torch.cat([labels > 0, torch.ones_like(labels) > 0]) for labels in quarters)
    picture = case_panel(torch.zeros(1, TILE, TILE), reference, prediction, None, ["a", "b"])
    assert picture.shape == (HEAD + 2 * PITCH + HEAD, WIDTH, 3)
    for row, (own, predicted) in enumerate(zip(reference, prediction, strict=True)):
        for column, mask in ((1, own), (2, predicted)):
            drawn = (tile(picture, column, row) == tinted(CLASS_COLOURS[row])).all(-1)
            assert np.array_equal(drawn, mask.numpy())
        errors = tile(picture, 3, row)
        for kind, mask in (("hit", own & predicted), ("false alarm", ~own & predicted), ("missed", own & ~predicted)):
            assert np.array_equal((errors == tinted(COLOUR[kind])).all(-1), mask.numpy())
    # The names stand on the input alone, and differ.
    names = [tile(picture, 0, row) for row in range(2)]
    assert all(name[:24, :24].max() > 200 and name[24:].max() == 0 for name in names)
    assert not np.array_equal(*names)


def test_a_volume_of_masks_shows_the_planes_of_each():
    reference = torch.zeros(2, 8, 8, 8)
    reference[0, 1, 6, 3] = reference[1, 5, 2, 4] = 1
    picture = case_panel(torch.zeros(1, 8, 8, 8), reference, torch.zeros(2, 8, 8, 8))
    assert picture.shape == (HEAD + 6 * PITCH + HEAD, WIDTH, 3)
    for row in range(6):
        assert (tile(picture, 1, row) == tinted(CLASS_COLOURS[row // 3])).all(-1).sum() == 30 * 30


def test_masks_for_a_label_map_are_refused():
    with pytest.raises(ValueError, match="the reference has 2 channels, the prediction 1"):
        case_panel(torch.zeros(1, 8, 8), torch.zeros(2, 8, 8), torch.zeros(1, 8, 8))
