"""The error map as TIFF and as picture: what other programs read, and which state a small pixel shows."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hand_worked_scene import STATES
from PIL import Image

from monai_seg.handlers.panel import LEGEND
from monai_seg.review import error_map, error_picture
from monai_seg.review.error_map import COLOURS, write_error_map
from monai_seg.review.error_picture import ErrorPicture

TN, TP, FP, FN = range(4)


def at_random(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("limit", [2**32, 100], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (256, 256), (600, 300), (1, 1)])
def test_other_readers_read_what_was_written(height, width, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(error_map, "_CLASSIC_BYTES", limit)
    path, states = tmp_path / "a.tif", at_random(height, width)
    write_error_map(path, (states[top : top + 512] for top in range(0, height, 512)), height, width)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == (height * width > limit)
        assert np.array_equal(file.asarray(), states)
    picture = Image.open(path)
    assert np.array_equal(np.asarray(picture), states)
    assert np.array_equal(np.asarray(picture.convert("RGB")), np.array(COLOURS)[states])


def test_rasterio_sees_names_and_colours_of_the_panels(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    write_error_map(tmp_path / "a.tif", [np.array(STATES, np.uint8)], 4, 6)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        file = rasterio.open(tmp_path / "a.tif")
    with file:
        assert file.colorinterp == (rasterio.enums.ColorInterp.palette,)
        table = file.colormap(1)
        assert [table[state][:3] for state in (TP, FP, FN)] == [colour for _, colour in LEGEND[:3]]
        named = "0 TN rightly background; 1 TP hit; 2 FP false alarm; 3 FN missed"
        assert file.tags()["TIFFTAG_IMAGEDESCRIPTION"] == named
        assert file.profile["tiled"]


def test_missing_rows_are_an_error(tmp_path):
    with pytest.raises((ValueError, RuntimeError, StopIteration)):
        write_error_map(tmp_path / "a.tif", [at_random(256, 300)], 600, 300)


def picture_of(states, monkeypatch, longest: int, image: np.ndarray | None = None) -> ErrorPicture:
    monkeypatch.setattr(error_picture, "LONGEST_SIDE", longest)
    states = np.array(states, np.uint8)
    picture = ErrorPicture(*states.shape, image is not None)
    for row in range(len(states)):
        picture.add(states[row : row + 1], None if image is None else image[row : row + 1])
    return picture


def test_a_small_pixel_shows_an_error_before_a_hit_and_a_hit_before_nothing(monkeypatch):
    states = [
        [TN, TN, TP, TN, TP, TP, FP, FN, FP, FP],
        [TN, TN, TN, TN, TP, FP, TN, TN, FN, TP],
    ]
    picture = picture_of(states, monkeypatch, longest=5)
    assert picture.size == 2
    assert picture.states().tolist() == [[TN, TP, FP, FN, FP]]


def test_a_scene_that_fits_is_shown_as_it_is(monkeypatch):
    picture = picture_of(STATES, monkeypatch, longest=6)
    assert picture.size == 1
    assert picture.states().tolist() == STATES


def test_the_picture_has_the_colours_and_a_legend_below(monkeypatch, tmp_path):
    picture = picture_of(STATES, monkeypatch, longest=6)
    picture.write(tmp_path / "a.png")
    drawn = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.array_equal(drawn[50:400:100, 50:600:100], np.array(COLOURS)[np.array(STATES)])
    assert drawn.shape[0] > 400
    # Each colour is found in the legend too.
    assert {tuple(colour) for colour in drawn[400:].reshape(-1, 3).tolist()} >= set(COLOURS)


def test_the_legend_has_the_true_counts(monkeypatch):
    picture = picture_of(STATES, monkeypatch, longest=3)
    assert [text for _, text in picture._legend()] == [
        "hit (TP)  5 px  20.833%",
        "false alarm (FP)  2 px  8.333%",
        "missed (FN)  3 px  12.500%",
        "rightly background (TN)  14 px  58.333%",
        "a pixel shows 2 x 2 px: an error where any is one, else a hit where any is one",
    ]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_background_is_the_grey_image(channels, monkeypatch):
    image = np.repeat(np.array([[[10], [20], [30], [40]]], np.uint16), channels, axis=2)
    image[0, 0, 3:] = 9999  # channels beyond the third are not seen
    drawn = np.asarray(picture_of([[TN, TN, TN, TP]], monkeypatch, 4, image).draw())[:150, 75::150]
    assert (drawn[0, :3] == drawn[0, :3, :1]).all()
    brightness = drawn[0, :3, 0].tolist()
    assert brightness == sorted(set(brightness))
    assert drawn[0, 3, 1] > drawn[0, 3, 0]  # the hit is still green


def test_an_image_of_one_value_or_of_nothing_but_nan_is_drawn(monkeypatch):
    for value in (7.0, np.nan):
        drawn = picture_of([[TN, FP]], monkeypatch, 2, np.full((1, 2, 1), value, np.float32)).draw()
        assert drawn.size[1] > 300
