"""Shadows on faces: painted where photographs have no masks, taken from the files where they have, at any size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_helpers import FinishedRun, pipeline, rows, run, sections, stem, trained_and_evaluated, workflow
from bundle_tasks import FACE, array, save
from PIL import Image

# Height and width; the network sees 64 x 64. The last one is a grey JPEG.
SIZES = [(64, 64), (48, 80), (80, 48), (37, 53), (101, 67), (64, 64), (33, 31), (60, 60)]


def write_photographs(folder: Path) -> Path:
    """Photographs of a bright oval, without masks."""
    draw = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        row, col = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        light = np.where(row**2 + col**2 < 0.8, 180, 90)[..., None] + draw.integers(-20, 20, (height, width, 3))
        save(folder / "images" / f"face_{number}.png", (light * [1, 0.8, 0.7]).astype(np.uint8))
    last = folder / "images" / f"face_{number}.png"
    with Image.open(last) as picture:
        picture.convert("L").save(last.with_suffix(".jpg"))
    last.unlink()
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> FinishedRun:
    """The finished run of photographs without masks."""
    folder = tmp_path_factory.mktemp("photographs")
    return trained_and_evaluated(FACE.on(write_photographs(folder / "data")), folder / "run", max_epochs=1)


def records(finished: FinishedRun) -> list[dict]:
    """Every photograph of a run, with its full path."""
    parts = sections(finished.path).values()
    return [{"image": str(finished.task.data / record["image"])} for part in parts for record in part]


def test_photographs_without_masks_fill_the_sections(photographs):
    assert all(sections(photographs.path).values())
    assert sorted(stem(record["image"]) for record in records(photographs)) == [f"face_{n}" for n in range(8)]


def test_training_paints_another_shadow_in_each_epoch(photographs):
    dataset = workflow(photographs.task, "training", shadow_prob=1.0).parser.get_parsed_content("train#dataset")
    first, second = (dataset[epoch, 0] for epoch in (1, 2))
    assert first["label"].shape == (1, 64, 64)
    assert first["label"].any()
    assert not torch.equal(first["label"].as_tensor(), second["label"].as_tensor())


def test_shadows_of_validation_do_not_change_from_run_to_run(photographs):
    one, two = (pipeline(photographs.task, "validate", seed=seed) for seed in (0, 1))
    painted = [(one(record), two(record)) for record in records(photographs)]
    for sample, again in painted:
        assert sample["label"].shape == (1, *array(sample["image"].meta["filename_or_obj"]).shape[:2])
        assert sample["label"].any()
        assert all(torch.equal(sample[key].as_tensor(), again[key].as_tensor()) for key in ("image", "label"))


def test_two_evaluations_write_the_same_table(photographs, tmp_path):
    copy = Path(shutil.copytree(photographs.path, tmp_path / "run"))
    (copy / "metrics" / "per_case.csv").unlink()
    run(photographs.task, "evaluating", run_dir=str(copy))
    table = (copy / "metrics" / "per_case.csv").read_bytes()
    assert table == (photographs.path / "metrics" / "per_case.csv").read_bytes()
    assert all(row["dice"] for row in rows(copy / "metrics"))  # undefined it would be only without any shadow


def test_without_test_shadows_references_are_empty_and_images_as_they_are(photographs):
    validate = pipeline(photographs.task, "validate", test_shadow_prob=0)
    inference = pipeline(photographs.task, "inference")
    for record in records(photographs):
        sample = validate(record)
        assert not sample["label"].any()
        assert torch.equal(sample["image"].as_tensor(), inference(record)["image"].as_tensor())


def test_predictions_have_the_size_of_the_photograph(photographs, tmp_path):
    settings = {"run_dir": str(photographs.path), "output_dir": str(tmp_path / "out")}
    run(photographs.task, "inferring", dataset_dir=str(photographs.task.data / "images"), **settings)
    shapes = {path.name: array(path).shape for path in (tmp_path / "out").iterdir()}
    assert shapes == {f"face_{number}.png": shape for number, shape in enumerate(SIZES)}


def test_a_grey_photograph_is_grey_in_all_three_colours(photographs):
    file = photographs.task.data / "images" / "face_7.jpg"
    image = pipeline(photographs.task, "inference")({"image": str(file)})["image"]
    assert image.shape == (3, 64, 64)
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])
    assert image.std() > 0.1


def test_pairs_are_trained_on_as_their_masks_are(tmp_path):
    """Masks in blocks of 2 x 2 pixels, so that half their size is known exactly; they may only be flipped."""
    data, draw = FACE.write(tmp_path / "data", 8, shape=(64, 64)), np.random.default_rng(0)
    for number in range(8):
        blocks = draw.integers(0, 2, (32, 32)).astype(np.uint8) * 255
        save(data / FACE.mask_file.format(number), blocks.repeat(2, 0).repeat(2, 1))
    bundle = workflow(FACE.on(data), "training", image_size=[32, 32], shadow_prob=1.0)
    dataset = bundle.parser.get_parsed_content("train#dataset")
    for index, record in enumerate(bundle.parser.get_parsed_content("run_folder").sections["training"]):
        wanted = array(record["label"])[::2, ::2] == 255
        label = dataset[1, index]["label"][0].numpy()
        assert np.array_equal(label, wanted) or np.array_equal(label, wanted[:, ::-1])


@pytest.mark.parametrize("shape", [(90, 50), (33, 61)], ids=["portrait", "landscape"])
def test_pairs_are_compared_at_the_size_of_the_photograph(face, finished_runs, tmp_path, shape):
    path = Path(shutil.copytree(finished_runs(face).path, tmp_path / "run"))
    others = face.write(tmp_path / "others", 2, seed=9, shape=shape)
    run(face, "evaluating", run_dir=str(path), dataset_dir=str(others))
    folder = path / "external" / "others"
    for number, row in enumerate(rows(folder)):
        predicted = array(folder / "predictions" / f"face_{number:02}.png") == 1
        wanted = face.labels(others / face.mask_file.format(number)) == 1
        assert predicted.shape == wanted.shape == shape
        assert predicted.any()
        dice = 2 * (predicted & wanted).sum() / (predicted.sum() + wanted.sum())
        assert float(row["dice"]) == pytest.approx(dice, abs=1e-6)
        assert float(row["accuracy"]) == pytest.approx((predicted == wanted).mean(), abs=1e-6)
