"""The review of a scene: its files, its figures, what it refuses, and how many rows it holds at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hand_worked_scene import COUNTS, MEASURES, PREDICTION, REFERENCE, STATES
from PIL import Image

from monai_seg.inference.tiff_scene import TiffScene
from monai_seg.review import ReviewError, review_scene, scene_review

FILES = ["blocks.csv", "blocks.png", "error_map.png", "error_map.tif", "review.json"]


def save(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".tif":
        tifffile.imwrite(path, values)
    else:
        Image.fromarray(values).save(path)
    return path


def geo(path: Path, values: np.ndarray, crs: str = "EPSG:25832", left: float = 500000.0) -> Path:
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": crs, "transform": rasterio.transform.from_origin(left, 5.4e6, 0.5, 0.5)}
    height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint8", **place) as file:
        file.write(values[None])
    return path


@pytest.mark.parametrize(("factor", "suffix"), [(1, ".png"), (255, ".png"), (255, ".tif")])
def test_the_hand_worked_scene(factor, suffix, tmp_path):
    reference = save(tmp_path / f"reference{suffix}", REFERENCE * factor)
    review = review_scene(reference, save(tmp_path / "p.png", PREDICTION), tmp_path / "out", block=4)
    assert review.counts == COUNTS
    assert {name: each.value for name, each in review.measures.items()} == pytest.approx(MEASURES)
    assert review.blocks.mean_difference == -3 / 32
    assert review.notes == ()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert tifffile.imread(tmp_path / "out" / "error_map.tif").tolist() == STATES
    rows = list(csv.DictReader((tmp_path / "out" / "blocks.csv").open()))
    assert [(row["col"], row["TP"]) for row in rows] == [("0", "3"), ("4", "2")]
    content = json.loads((tmp_path / "out" / "review.json").read_text())
    assert content["counts"] == COUNTS
    assert content["measures"]["iou"]["value"] == 0.5
    assert content["blocks"]["chi_square"] is None
    assert len(content["assumptions"]) == 5


@pytest.mark.parametrize("band_pixels", [1, 700 * 300, 2**24])
def test_bands_of_any_height_say_the_same(band_pixels, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    reference, prediction = (generator.random((2, 700, 300)) < 0.3).astype(np.uint8)
    monkeypatch.setattr(scene_review, "_BAND_PIXELS", band_pixels)
    paths = save(tmp_path / "r.tif", reference), save(tmp_path / "p.tif", prediction)
    review = review_scene(*paths, tmp_path / "out")
    assert review.counts["TP"] == (reference & prediction).sum()
    assert review.counts["FN"] == (reference & ~prediction & 1).sum()
    written = tifffile.imread(tmp_path / "out" / "error_map.tif")
    assert np.array_equal(written, np.array([[0, 2], [3, 1]])[reference, prediction])
    assert review.blocks.blocks == 11 * 5


def test_rows_held_at_once_do_not_depend_on_the_height(tmp_path, monkeypatch):
    asked: list[tuple[int, int]] = []
    rows = TiffScene.rows

    def noted(self, start, stop):
        asked.append((start, stop))
        return rows(self, start, stop)

    monkeypatch.setattr(TiffScene, "rows", noted)
    monkeypatch.setattr(scene_review, "_BAND_PIXELS", 256 * 20)
    path = save(tmp_path / "a.tif", np.zeros((2000, 20), np.uint8))
    review_scene(path, path, tmp_path / "out", image=path)
    # Each row once from each of the three files, at most 256 at a time, from top to bottom.
    assert [stop - start for start, stop in asked] == [256] * 21 + [2000 - 7 * 256] * 3
    assert [start for start, _ in asked] == [256 * band for band in range(8) for _ in range(3)]


def test_an_opaque_alpha_channel_does_no_harm_behind_the_error_map(tmp_path):
    paths = save(tmp_path / "r.png", REFERENCE), save(tmp_path / "p.png", PREDICTION)
    colours = np.random.default_rng(0).integers(0, 255, (*REFERENCE.shape, 3)).astype(np.uint8)
    opaque = np.dstack([colours, np.full(REFERENCE.shape, 255, np.uint8)])
    for name, picture in (("rgb", colours), ("rgba", opaque)):
        review_scene(*paths, tmp_path / name, image=save(tmp_path / f"{name}.png", picture))
    assert (tmp_path / "rgb" / "error_map.png").read_bytes() == (tmp_path / "rgba" / "error_map.png").read_bytes()
    opaque[0, 0, 3] = 0
    transparent = save(tmp_path / "transparent.png", opaque)
    with pytest.raises(ReviewError, match="transparent in places"):
        review_scene(*paths, tmp_path / "no", image=transparent)


@pytest.mark.parametrize("empty", ["reference", "prediction", "both"])
def test_scenes_without_an_object(empty, tmp_path):
    nothing = np.zeros((4, 6), np.uint8)
    reference = nothing if empty != "prediction" else REFERENCE
    prediction = nothing if empty != "reference" else PREDICTION
    paths = save(tmp_path / "r.png", reference), save(tmp_path / "p.png", prediction)
    review_scene(*paths, tmp_path / "out", block=2)
    content = json.loads((tmp_path / "out" / "review.json").read_text())
    found = {name: each["value"] for name, each in content["measures"].items()}
    wanted = None if empty == "both" else 0
    assert [found[name] for name in ("precision", "recall", "f1", "dice", "iou")] == [wanted] * 5
    assert found["accuracy"] == (reference == prediction).mean()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_one_class_of_several(tmp_path):
    reference, prediction = save(tmp_path / "r.png", REFERENCE * 2), PREDICTION.copy() * 2
    prediction[0, 5] = 1  # of another class
    predicted = save(tmp_path / "p.png", prediction)
    assert review_scene(reference, predicted, tmp_path / "out", label=2).counts == COUNTS
    together = review_scene(reference, predicted, tmp_path / "out")
    assert together.counts["FP"] == COUNTS["FP"] + 1
    assert together.notes == (
        "the prediction holds labels from 1 to 2; all of them count as foreground, --class takes one",
    )


def test_a_reference_with_other_values(tmp_path):
    values = REFERENCE * 29
    values[0, 2:] = 76  # the codes of something else
    paths = save(tmp_path / "r.png", values), save(tmp_path / "p.png", PREDICTION)
    review = review_scene(*paths, tmp_path / "out", label=1, reference_values=(29, 30))
    assert (review.counts, review.notes) == (COUNTS, ())
    assert review.foreground == "label 1 in the prediction, 29 or 30 in the reference"


def test_a_class_that_is_nowhere_is_told(tmp_path):
    paths = save(tmp_path / "r.png", REFERENCE * 255), save(tmp_path / "p.png", PREDICTION)
    review = review_scene(*paths, tmp_path / "out", label=1)
    assert review.notes == (
        "the reference holds labels from 255 to 255, but no 1; --reference-values and --class say what is meant",
    )


def test_georeferencing_is_kept(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    reference, prediction = geo(tmp_path / "r.tif", REFERENCE), geo(tmp_path / "p.tif", PREDICTION)
    assert review_scene(reference, prediction, tmp_path / "out").notes == ()
    with rasterio.open(prediction) as wanted, rasterio.open(tmp_path / "out" / "error_map.tif") as found:
        assert (found.crs, found.transform) == (wanted.crs, wanted.transform)
        assert found.read(1).tolist() == STATES


@pytest.mark.parametrize("without", ["reference", "prediction"])
def test_a_missing_georeferencing_is_told_and_that_of_the_other_kept(without, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    plain = "r.png" if without == "reference" else "p.png"
    reference, prediction = (
        save(tmp_path / name, values) if name == plain else geo(tmp_path / name.replace("png", "tif"), values)
        for name, values in (("r.png", REFERENCE), ("p.png", PREDICTION))
    )
    (note,) = review_scene(reference, prediction, tmp_path / "out").notes
    assert note == f"the {without} has no georeferencing ({tmp_path / plain}); it is taken to lie on the other"
    with rasterio.open(tmp_path / "out" / "error_map.tif") as found:
        assert found.crs.to_epsg() == 25832


def test_systems_without_code_that_differ_are_told(tmp_path):
    own = "+proj=laea +lat_0=52 +lon_0=10 +x_0=0 +y_0=0 +ellps=GRS80 +units=m"
    paths = geo(tmp_path / "r.tif", REFERENCE, crs=own), geo(tmp_path / "p.tif", PREDICTION)
    (note,) = review_scene(*paths, tmp_path / "out").notes
    assert "whether reference and prediction are in one coordinate system cannot be said" in note


def refused(tmp_path: Path, reference: Path, prediction: Path, **options) -> str:
    with pytest.raises(ReviewError) as caught:
        review_scene(reference, prediction, tmp_path / "out", **options)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name == "out"]
    return str(caught.value)


def test_other_places_are_refused(tmp_path):
    reference = geo(tmp_path / "r.tif", REFERENCE)
    text = refused(tmp_path, reference, geo(tmp_path / "p.tif", PREDICTION, left=500001.0))
    assert text.splitlines() == [
        "reference and prediction differ in position",
        f"  reference   {reference}  upper left corner 500000, 5400000, pixels of 0.5 x 0.5, EPSG:25832",
        f"  prediction  {tmp_path / 'p.tif'}  upper left corner 500001, 5400000, pixels of 0.5 x 0.5, EPSG:25832",
        "  mend        warp one onto the grid of the other with nearest neighbour (gdalwarp)",
    ]
    other = geo(tmp_path / "q.tif", PREDICTION, crs="EPSG:32632")
    assert "differ in coordinate system" in refused(tmp_path, reference, other)


def test_other_sizes_are_refused(tmp_path):
    paths = save(tmp_path / "r.png", REFERENCE), save(tmp_path / "p.png", PREDICTION[:, :5])
    text = refused(tmp_path, *paths)
    assert text.splitlines()[:3] == [
        "reference and prediction differ in size",
        f"  reference   {paths[0]}  6 x 4 px",
        f"  prediction  {paths[1]}  5 x 4 px",
    ]
    assert "reference and image differ in size" in refused(tmp_path, paths[0], paths[0], image=paths[1])


def test_files_that_are_no_label_maps_are_refused(tmp_path):
    good = save(tmp_path / "good.png", REFERENCE)
    cases = {
        "is in colours": save(tmp_path / "c.png", np.zeros((4, 6, 3), np.uint8)),
        "holds fractions": save(tmp_path / "f.tif", np.zeros((4, 6), np.float32)),
        "is a JPEG, which alters labels": save(tmp_path / "j.jpg", REFERENCE),
        "cannot be opened": tmp_path / "missing.tif",
    }
    for problem, path in cases.items():
        text = refused(tmp_path, good, path)
        assert f"the prediction {problem}" in text
        assert str(path) in text
        assert "the reference" in refused(tmp_path, path, good)


def test_damage_further_down_leaves_nothing_behind(tmp_path):
    values = np.random.default_rng(0).integers(0, 2, (600, 300), dtype=np.uint8)
    good, bad = save(tmp_path / "good.tif", values), tmp_path / "bad.tif"
    tifffile.imwrite(bad, values, compression="zlib", rowsperstrip=100)
    with tifffile.TiffFile(bad) as file:
        start = file.pages[0].dataoffsets[4]
    content = bytearray(bad.read_bytes())
    content[start : start + 200] = bytes(200)
    bad.write_bytes(content)
    text = refused(tmp_path, good, bad)
    assert text.splitlines()[0] == "the prediction is damaged"
    assert str(bad) in text


def test_too_many_blocks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(scene_review, "_MOST_BLOCKS", 20)
    path = save(tmp_path / "a.png", REFERENCE)
    text = refused(tmp_path, path, path, block=1)
    assert "6 x 4 px, 24 blocks of 1 x 1 px" in text
    assert "give a larger --block: 20 blocks are the most" in text


def test_an_earlier_review_is_replaced(tmp_path):
    paths = save(tmp_path / "r.png", REFERENCE), save(tmp_path / "p.png", PREDICTION)
    review_scene(*paths, tmp_path / "out")
    review_scene(paths[0], paths[0], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "review.json").read_text())["counts"]["FP"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
