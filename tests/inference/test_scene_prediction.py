"""A scene from file to files: label map, probabilities, polygons, place on the ground; nothing is left half-made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.inferers import sliding_window_inference

from monai_seg.inference import row_progress
from monai_seg.inference.consensus import Consensus
from monai_seg.inference.label_map_file import ClassMaskError
from monai_seg.inference.polygons import MissingPackageError
from monai_seg.inference.scene import open_scene
from monai_seg.inference.scene_cleaning import SceneCleaning
from monai_seg.inference.scene_prediction import Decision, SceneOutputs, ScenePredictor
from monai_seg.inference.streamed import Window

WINDOW = Window((16, 16))
ONE_CLASS = Decision("sigmoid", 0.5)


def brightness(tiles: torch.Tensor) -> torch.Tensor:
    """A network without weights: bright is the object."""
    return (tiles.mean(1, keepdim=True) - 100) / 20


def blocks() -> np.ndarray:
    """A frame with a hole, a square and a speck, 60 x 50."""
    labels = np.zeros((60, 50), np.uint8)
    labels[5:25, 5:25] = 1
    labels[10:20, 10:20] = 0
    labels[30:50, 20:45] = 1
    labels[55, 5] = 1
    return labels


def scene_file(path: Path, labels: np.ndarray | None = None, **options) -> Path:
    labels = blocks() if labels is None else labels
    image = np.repeat(labels[..., None] * np.uint8(200), 3, axis=2)
    tifffile.imwrite(path, image, photometric="rgb", tile=(16, 16), compression="zlib", **options)
    return path


def predict(path: Path, predictor: ScenePredictor, outputs: SceneOutputs) -> None:
    with open_scene(path) as scene:
        predictor.predict(scene, lambda a, b: torch.from_numpy(np.moveaxis(scene.rows(a, b), -1, 0).copy()), outputs)


def predicted(tmp_path: Path, path: Path, **options) -> np.ndarray:
    predictor = ScenePredictor(**{"network": brightness, "window": WINDOW, "decision": ONE_CLASS} | options)
    predict(path, predictor, SceneOutputs(tmp_path / "out.tif"))
    return tifffile.imread(tmp_path / "out.tif")


def test_labels_and_probabilities_are_those_of_the_whole_image(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 3, 5, padding=2)
    path = scene_file(tmp_path / "a.tif")
    predictor = ScenePredictor(network, WINDOW, Decision("softmax"))
    predict(path, predictor, SceneOutputs(tmp_path / "labels.tif", tmp_path / "probabilities.tif"))
    image = torch.from_numpy(np.moveaxis(tifffile.imread(path), -1, 0)[None].astype(np.float32))
    with torch.no_grad():
        wanted = sliding_window_inference(image, (16, 16), 4, network, 0.5, "gaussian").softmax(1)[0]
    found = np.moveaxis(tifffile.imread(tmp_path / "probabilities.tif"), -1, 0)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert np.array_equal(tifffile.imread(tmp_path / "labels.tif"), found.argmax(0))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "labels.tif", "probabilities.tif"]


def test_the_threshold_is_a_probability_that_belongs_to_the_class(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    half = {"network": lambda tiles: tiles[:, :1] * 0.0}
    assert predicted(tmp_path, path, **half).all()
    assert not predicted(tmp_path, path, **half, decision=Decision("sigmoid", 0.51)).any()


def test_cleaning_up(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    assert np.array_equal(predicted(tmp_path, path), blocks())
    filled = predicted(tmp_path, path, cleaning=SceneCleaning(min_object_size=2, fill_holes=True))
    assert (filled[5:25, 5:25].all(), filled[55, 5], filled.sum()) == (True, 0, 400 + 500)
    largest = predicted(tmp_path, path, cleaning=SceneCleaning(largest_component="each"))
    assert (largest[30:50, 20:45].all(), largest.sum()) == (True, 500)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "out.tif"]


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5)])
def test_scenes_smaller_than_a_tile(size, tmp_path):
    labels = np.zeros(size, np.uint8)
    labels[0, 0] = 1
    assert np.array_equal(predicted(tmp_path, scene_file(tmp_path / "a.tif", labels)), labels)


def test_views_and_networks_together(tmp_path):
    torch.manual_seed(0)
    networks = [torch.nn.Conv2d(3, 1, 5, padding=2) for _ in range(2)]
    image = np.random.default_rng(0).integers(0, 2, (32, 32)).astype("u1")
    maps = []
    for quarters in (0, 1):
        path = scene_file(tmp_path / f"{quarters}.tif", np.rot90(image, quarters))
        maps.append(predicted(tmp_path, path, network=Consensus(networks, "sigmoid", test_time_augmentation=True)))
    # 32 pixels in tiles of 16 with half overlap: the tiles lie the same in the turned scene.
    assert np.array_equal(np.rot90(maps[0]), maps[1])


def test_the_place_on_the_ground_is_kept_also_without_rasterio(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400000, 0, -0.5, 5600000)}
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=60, width=50, count=3, dtype="uint8", **place) as file:
        file.write(np.repeat(blocks()[None] * np.uint8(200), 3, axis=0))
    predictor = ScenePredictor(brightness, WINDOW, ONE_CLASS)
    predict(path, predictor, SceneOutputs(*(tmp_path / name for name in ("out.tif", "p.tif", "out.geojson"))))
    for name in ("out.tif", "p.tif"):
        with rasterio.open(tmp_path / name) as file:
            assert (file.crs, file.transform) == (rasterio.CRS.from_epsg(32633), place["transform"])
    content = json.loads((tmp_path / "out.geojson").read_text())
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    rings = max((item["geometry"]["coordinates"] for item in content["features"]), key=len)
    assert sorted(map(len, rings)) == [5, 5]
    assert [400002.5, 5599997.5] in rings[0]


def test_polygons_are_the_pixels(tmp_path):
    features = pytest.importorskip("rasterio.features")
    predictor = ScenePredictor(brightness, WINDOW, ONE_CLASS)
    predict(
        scene_file(tmp_path / "a.tif"), predictor, SceneOutputs(tmp_path / "o.tif", polygons=tmp_path / "o.geojson")
    )
    content = json.loads((tmp_path / "o.geojson").read_text())
    assert "crs" not in content
    shapes = [(item["geometry"], item["properties"]["label"]) for item in content["features"]]
    assert len(shapes) == 3
    assert np.array_equal(features.rasterize(shapes, (60, 50)), blocks())


def test_a_scene_without_objects(tmp_path):
    pytest.importorskip("rasterio")
    path = scene_file(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    cleaning = SceneCleaning(2, True, "each")
    predictor = ScenePredictor(brightness, WINDOW, ONE_CLASS, cleaning)
    predict(path, predictor, SceneOutputs(tmp_path / "out.tif", polygons=tmp_path / "out.geojson"))
    assert not tifffile.imread(tmp_path / "out.tif").any()
    assert json.loads((tmp_path / "out.geojson").read_text())["features"] == []


def test_polygons_without_rasterio_are_refused_before_anything_is_predicted(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'monai-seg\[geo\]'"):
        predict(
            scene_file(tmp_path / "a.tif"),
            ScenePredictor(brightness, WINDOW, ONE_CLASS),
            SceneOutputs(tmp_path / "out.tif", polygons=tmp_path / "out.geojson"),
        )
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("cleaning", [SceneCleaning(), SceneCleaning(2)], ids=["plain", "cleaned"])
def test_a_broken_prediction_leaves_nothing_behind(error, cleaning, tmp_path):
    calls = []

    def breaking(tiles: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 3:
            raise error
        return brightness(tiles)

    (tmp_path / "out.tif").write_bytes(b"from before")
    with pytest.raises(error):
        predict(
            scene_file(tmp_path / "a.tif"),
            ScenePredictor(breaking, WINDOW, ONE_CLASS, cleaning),
            SceneOutputs(tmp_path / "out.tif", tmp_path / "p.tif"),
        )
    assert (tmp_path / "out.tif").read_bytes() == b"from before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "out.tif"]


def test_a_long_prediction_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "monai_seg")
    for seconds, expected in ((5.0, "predict a.tif: 8 of 60 rows, 32 s left"), (0.01, "")):
        now = iter([index * seconds for index in range(100)])
        monkeypatch.setattr(row_progress.time, "monotonic", lambda now=now: next(now))
        caplog.clear()
        predicted(tmp_path, scene_file(tmp_path / "a.tif"))
        assert "".join(caplog.messages[:1]) == expected


@pytest.mark.parametrize(
    ("activation", "threshold", "text"), [("tanh", None, "'tanh'"), ("sigmoid", 1.5, "threshold is 1.5")]
)
def test_impossible_decisions(activation, threshold, text):
    with pytest.raises(ValueError, match=text):
        Decision(activation, threshold)


def test_masks_of_classes_that_nobody_named_are_refused(tmp_path):
    for names in ((), ("one", "two")):
        with pytest.raises(ClassMaskError, match=f"gives 3 channels; a threshold .* names {len(names)} classes"):
            predict(
                scene_file(tmp_path / "a.tif"),
                ScenePredictor(lambda tiles: tiles * 1.0, WINDOW, ONE_CLASS),
                SceneOutputs(tmp_path / "out.tif", class_names=names),
            )
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.tif"}


def bright_and_dark(tiles: torch.Tensor) -> torch.Tensor:
    """Two classes that overlap: what is bright, and everything but what is very bright."""
    return torch.cat([brightness(tiles), (150 - tiles[:, 1:2]) / 20], dim=1)


def two_masks(tmp_path: Path) -> SceneOutputs:
    return SceneOutputs(*(tmp_path / name for name in ("a.tif", "a_p.tif", "a.geojson")), ("bright", "dark"))


def test_classes_that_overlap_have_a_mask_each(tmp_path):
    features = pytest.importorskip("rasterio.features")
    values = np.zeros((60, 50), np.uint8)
    values[5:25, 5:25], values[30:50, 20:45], values[55:58, 5] = 120, 250, 120
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, np.repeat(values[..., None], 3, axis=2), photometric="rgb")
    outputs = two_masks(tmp_path)
    predict(path, ScenePredictor(bright_and_dark, WINDOW, ONE_CLASS), outputs)
    wanted = {"bright": values >= 100, "dark": values <= 150}
    assert sorted(path for path in tmp_path.rglob("*.*") if path.parent.name != "in") == sorted(outputs.files)
    for name, mask in wanted.items():
        label_map = tifffile.imread(tmp_path / name / "a.tif")
        assert label_map.dtype == np.uint8
        assert np.array_equal(label_map, mask)
        found = json.loads((tmp_path / name / "a.geojson").read_text())["features"]
        shapes = [(item["geometry"], item["properties"]["label"]) for item in found]
        assert np.array_equal(features.rasterize(shapes, (60, 50)), mask)
    probabilities = tifffile.imread(tmp_path / "a_p.tif")
    assert np.array_equal(probabilities >= 0.5, np.stack(list(wanted.values()), -1))
    assert (wanted["bright"] & wanted["dark"]).any()


def test_each_mask_is_cleaned_by_itself(tmp_path):
    values = np.full((60, 50), 250, np.uint8)
    values[:20] = 0
    values[40:43, 10:13] = 120  # dark, on what is bright: joined with it, it would not be small
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, np.repeat(values[..., None], 3, axis=2), photometric="rgb")
    predictor = ScenePredictor(bright_and_dark, WINDOW, ONE_CLASS, SceneCleaning(min_object_size=20))
    predict(path, predictor, SceneOutputs(tmp_path / "a.tif", class_names=("bright", "dark")))
    assert np.array_equal(tifffile.imread(tmp_path / "bright" / "a.tif"), values > 0)
    assert np.array_equal(tifffile.imread(tmp_path / "dark" / "a.tif"), values == 0)


@pytest.mark.parametrize("breaks_at", ["network", "cleaning"])
def test_masks_come_all_or_none(breaks_at, tmp_path, monkeypatch):
    calls = []

    def breaking(*arguments):
        calls.append(1)
        if len(calls) == 2:  # the mask of the one class is finished then
            raise RuntimeError("no more")
        return bright_and_dark(*arguments) if breaks_at == "network" else None

    if breaks_at == "cleaning":
        monkeypatch.setattr(SceneCleaning, "clean", lambda self, rows: breaking(rows))
    path, network = scene_file(tmp_path / "in.tif"), breaking if breaks_at == "network" else bright_and_dark
    outputs = SceneOutputs(tmp_path / "a.tif", tmp_path / "p.tif", class_names=("bright", "dark"))
    with pytest.raises(RuntimeError, match="no more"):
        predict(path, ScenePredictor(network, WINDOW, ONE_CLASS, SceneCleaning(2)), outputs)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["in.tif"]
