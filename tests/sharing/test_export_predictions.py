"""Predictions in a portable bundle: written as ours are, and compared so that a wrong one is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from monai_seg.inference.files_of import files_of
from monai_seg.sharing.portable.bundle_files import images
from monai_seg.sharing.portable.compare_predictions import SelfTestError, compare_predictions
from monai_seg.sharing.portable.prediction_files import PredictionFiles

NAMES = ["wall", "pore", "core"]


# --- the writer, beside ours


def written(place: Path, gives: str, file: Path, prediction: Any, class_names: list[str]) -> tuple[Path, Path]:
    """What both writers make of one prediction: ours, and that of a portable bundle."""
    image = MetaTensor(torch.zeros(1, 6, 5), meta={"filename_or_obj": str(file), "spatial_shape": np.array([6, 5])})
    network = SimpleNamespace(score_threshold=torch.tensor(0.25))
    ours = files_of(gives, place / "ours", class_names)
    theirs = PredictionFiles(str(place / "theirs"), gives, class_names, network)  # type: ignore[arg-type]
    for files in (ours, theirs):
        engine = Engine(lambda *_: [{"pred": prediction, "image": image}])
        engine.network = network
        engine.data_loader = SimpleNamespace(dataset=SimpleNamespace(data=[{"image": str(file)}]))
        files.attach(engine)
        engine.run([[{"image": image}]], max_epochs=1)
    return place / "ours", place / "theirs"


def assert_same_files(ours: Path, theirs: Path) -> None:
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.suffix.lower() in (".png", ".csv", ".tif", ".tiff") and path.parent.name != "figures"
        }
        for folder in (ours, theirs)
    )
    assert one.keys() == two.keys()
    assert len(one) > 0
    for name, content in one.items():
        if name.suffix == ".csv":
            assert content == two[name]
        else:
            maps = [np.asarray(Image.open(folder / name)) for folder in (ours, theirs)]
            assert maps[0].dtype == maps[1].dtype
            assert np.array_equal(*maps)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".TIFF"])
def test_a_label_map_is_written_as_ours(ending, tmp_path):
    file = tmp_path / f"case.one{ending}"
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(file)
    labels = torch.arange(30).reshape(1, 6, 5).float() % 3
    assert_same_files(*written(tmp_path, "image", file, labels, NAMES))


def test_masks_that_may_overlap_are_written_as_ours(tmp_path):
    file = tmp_path / "case.png"
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(file)
    masks = (torch.arange(90).reshape(3, 6, 5) % 2).float()
    ours, theirs = written(tmp_path, "image", file, masks, NAMES)
    assert sorted(path.name for path in theirs.iterdir()) == sorted(NAMES)
    assert_same_files(ours, theirs)


@pytest.mark.parametrize("name", ["case.nii.gz", "case.nii", "case.1.NII.GZ"])
def test_a_volume_keeps_shape_affine_and_units_as_ours(name, tmp_path):
    affine = np.array([[-0.9, 0.1, 0, 4], [0.1, 1.1, 0, -5], [0, 0, 1.6, 6], [0, 0, 0, 1.0]])
    volume = nib.Nifti1Image(np.zeros((6, 5, 4), np.int16), affine)
    volume.header.set_xyzt_units("mm")
    volume.header.set_slope_inter(2, 7)
    file = tmp_path / name
    nib.save(volume, file)
    labels = (torch.arange(120).reshape(1, 6, 5, 4) % 3).float()
    found = [list(folder.iterdir()) for folder in written(tmp_path, "image", file, labels, NAMES)]
    assert [path.name for path in found[0]] == [path.name for path in found[1]]
    one, two = (nib.load(path) for (path,) in found)
    assert np.array_equal(np.asarray(one.dataobj), labels[0].numpy())
    assert np.array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
    assert np.array_equal(one.affine, two.affine)
    assert one.get_data_dtype() == two.get_data_dtype()
    assert one.header.get_xyzt_units() == two.header.get_xyzt_units()


def test_classes_are_written_as_ours(tmp_path):
    shares = torch.tensor([0.2, 0.5, 0.3])
    assert_same_files(*written(tmp_path, "probabilities", tmp_path / "case.png", shares, NAMES))


@pytest.mark.parametrize("count", [3, 0])
def test_objects_are_written_as_ours(count, tmp_path):
    file = tmp_path / "case.png"
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(file)
    masks = torch.zeros(3, 6, 5)
    masks[0, :3, :3], masks[1, 2:, 2:], masks[2, 5:, 4:] = 1, 1, 1
    boxes = torch.tensor([[0.0, 0, 3, 3], [2, 2, 6, 5], [5, 4, 6, 5]])
    scores = torch.tensor([0.5, 0.9, 0.2])  # of which the last one does not count
    found = {"box": boxes, "label": torch.tensor([0, 1, 0]), "label_scores": scores, "mask": masks}
    ours, theirs = written(tmp_path, "object", file, {key: value[:count] for key, value in found.items()}, NAMES)
    assert_same_files(ours, theirs)
    one, two = (json.loads((folder / "objects.json").read_text()) for folder in (ours, theirs))
    assert len(one["annotations"]) == len(two["annotations"]) == min(count, 2)
    for a, b in zip(one["annotations"], two["annotations"], strict=True):
        for key in ("image_id", "category_id", "segmentation", "area", "iscrowd"):
            assert a[key] == b[key], key
        assert [*a["bbox"], a["score"]] == pytest.approx([*b["bbox"], b["score"]])


def test_images_are_found_in_files_and_folders(tmp_path):
    for name in ("b.PNG", "a.nii.gz", "notes.txt", "deep/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [Path(each["image"]).name for each in images(str(tmp_path))] == ["a.nii.gz", "b.PNG"]
    assert len(images(str(tmp_path / "b.PNG"))) == 1
    for nothing in ("notes.txt", "missing"):
        with pytest.raises(FileNotFoundError, match=r"is no image and holds none; known are \.nii"):
            images(str(tmp_path / nothing))


# --- the comparison


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    for name in ("expected", "found"):
        folder = tmp_path / name
        folder.mkdir()
        Image.fromarray(np.zeros((100, 100), np.uint8)).save(folder / "map.png")
        with (folder / "classes.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["file", "class", "probability_a"], ["one.png", "a", "0.750000"]])
        found = {"category_id": 1, "bbox": [1.0, 2, 3, 4], "score": 0.9, "area": 12}
        (folder / "objects.json").write_text(json.dumps({"annotations": [found]}))
    return tmp_path / "expected", tmp_path / "found"


def change_map(folder: Path, count: int) -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels.flat[:count] = 1
    Image.fromarray(labels).save(folder / "map.png")


def change_object(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "objects.json").read_text())
    content["annotations"][0].update(changes)
    (folder / "objects.json").write_text(json.dumps(content))


def test_equal_predictions_are_told_file_by_file(pair):
    assert compare_predictions(*pair) == [
        "classes.csv: probabilities differ by 0 at most",
        "map.png: 0 of 10,000 pixels differ",
        "objects.json: 1 objects, edges differ by 0 pixels at most",
    ]


def test_rounding_is_allowed(pair):
    change_map(pair[1], 10)
    change_object(pair[1], bbox=[1.25, 2, 3, 4], score=0.90001)
    assert "map.png: 10 of 10,000 pixels differ" in compare_predictions(*pair)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: change_map(folder, 11), r"map\.png: 11 of 10,000 pixels differ"),
        (lambda folder: (folder / "map.png").unlink(), r"no prediction map\.png"),
        (lambda folder: Image.new("L", (50, 200)).save(folder / "map.png"), r"has shape \(200, 50\), expected"),
        (lambda folder: change_object(folder, bbox=[1.0, 2, 4, 4]), r"an edge lies 1\.0 pixels elsewhere"),
        (lambda folder: change_object(folder, category_id=2), r"objects\.json: object 1 is of category 2, expected 1"),
        (lambda folder: change_object(folder, score=0.5), r"objects\.json: a score differs by 0\.4000"),
        (lambda folder: (folder / "objects.json").write_text('{"annotations": []}'), r"0 objects, expected 1"),
        (
            lambda folder: (folder / "classes.csv").write_text("file,class,probability_a\none.png,a,0.752\n"),
            r"a probability differs by 0\.0020",
        ),
        (
            lambda folder: (folder / "classes.csv").write_text("file,class,probability_a\n"),
            r"classes\.csv: 0 images, expected 1",
        ),
        (
            lambda folder: (folder / "classes.csv").write_text("file,class,probability_b\none.png,a,0.75\n"),
            r"classes\.csv: columns file, class, probability_b, expected file, class, probability_a",
        ),
    ],
)  # fmt: skip
def test_another_prediction_fails(change, text, pair):
    change(pair[1])
    with pytest.raises(SelfTestError, match=text):
        compare_predictions(*pair)


def test_nothing_to_compare_with_fails(tmp_path):
    (tmp_path / "expected").mkdir()
    with pytest.raises(SelfTestError, match="holds no prediction"):
        compare_predictions(tmp_path / "expected", tmp_path)
