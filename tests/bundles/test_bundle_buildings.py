"""Buildings and more: several classes, classes that overlap, tiles of other kinds and sizes, and sections by shares."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_helpers import FinishedRun, load, pipeline, rows, run, sections, stem, trained_and_evaluated, workflow
from bundle_tasks import BUILDING, array, save

CLASSES = {
    "exclusive": {"class_names": ["building", "road"], "class_values": [[1], [2]]},
    "overlapping": {"class_names": ["building", "tree"], "class_values": [[1, 3], [2, 3]], "multi_label": True},
}


def write_tiles(folder: Path, count: int, both: int) -> Path:
    """Tiles with an opaque alpha channel, a red and a green rectangle; where these overlap the mask is ``both``."""
    draw = np.random.default_rng(0)
    for number in range(count):
        one, two = np.zeros((2, 48, 40), bool)
        (top, left), (low, right) = draw.integers(2, 14, (2, 2))
        one[top : top + 22, left : left + 16] = True
        two[low + 8 : low + 26, right + 8 : right + 24] = True
        image = draw.integers(40, 90, (48, 40, 4)).astype(np.uint8)
        image[..., 0] += 120 * one.astype(np.uint8)
        image[..., 1] += 120 * two.astype(np.uint8)
        image[..., 3] = 255
        save(folder / BUILDING.image_file.format(number), image)
        save(folder / BUILDING.mask_file.format(number), np.where(one & two, both, one + 2 * two).astype(np.uint8))
    return folder


@pytest.fixture(scope="module", params=CLASSES)
def several(request, tmp_path_factory) -> FinishedRun:
    """The finished run of two classes, exclusive or overlapping."""
    folder, classes = tmp_path_factory.mktemp(request.param), CLASSES[request.param]
    task = BUILDING.on(write_tiles(folder / "data", 6, both=3 if classes.get("multi_label") else 2), **classes)
    return trained_and_evaluated(task, folder / "run", max_epochs=1)


def predicted_masks(finished: FinishedRun, folder: Path, name: str) -> dict[str, np.ndarray]:
    """The mask of each class: a label map's, or the file in the folder of the class."""
    classes = finished.task.overrides["class_names"]
    if "multi_label" in finished.task.overrides:
        return {each: array(folder / each / name) == 1 for each in classes}
    return {each: array(folder / name) == number for number, each in enumerate(classes, 1)}


def test_table_of_several_classes_agrees_with_the_masks_on_disk(several):
    table = {(row["case"], row["class"]): row for row in rows(several.path / "metrics")}
    values = dict(zip(*(several.task.overrides[key] for key in ("class_names", "class_values")), strict=True))
    tests = sections(several.path)["test"]
    assert list(table) == [(stem(record["image"]), each) for record in tests for each in values]
    assert list(next(iter(table.values()))) == ["case", "class", *BUILDING.metrics]
    for record in tests:
        predicted = predicted_masks(several, several.path / "predictions", Path(record["image"]).name)
        assert any(mask.any() for mask in predicted.values()), "a test of nothing"
        for name, mask in predicted.items():
            wanted = np.isin(array(several.task.data / record["label"]), values[name])
            row, hit = table[stem(record["image"]), name], (mask & wanted).sum()
            assert float(row["dice"]) == pytest.approx(2 * hit / (mask.sum() + wanted.sum()), abs=1e-6)
            assert float(row["recall"]) == pytest.approx(hit / wanted.sum(), abs=1e-6)
            assert float(row["precision"]) == pytest.approx(hit / max(mask.sum(), 1), abs=1e-6)


def test_inference_of_several_classes_equals_the_evaluation(several, tmp_path):
    (record, *_) = sections(several.path)["test"]
    image = several.task.data / record["image"]
    run(several.task, "inferring", dataset_dir=str(image), run_dir=str(several.path), output_dir=str(tmp_path / "out"))
    evaluated = predicted_masks(several, several.path / "predictions", image.name)
    for name, mask in predicted_masks(several, tmp_path / "out", image.name).items():
        assert mask.shape == (48, 40)
        assert np.array_equal(mask, evaluated[name])


def test_objects_of_each_class_are_cleaned_up_by_themselves(several):
    """A large and a small square of each class; the small one of the second lies on the large one of the first."""
    objects = np.zeros((2, 32, 32), bool)
    objects[0, 2:16, 2:16] = objects[0, 26:29, 26:29] = objects[1, 18:28, 2:12] = objects[1, 6:9, 6:9] = True
    is_exclusive = "multi_label" not in several.task.overrides
    scores = [np.full((1, 32, 32), 0.5), objects * [[[1.0]], [[2.0]]]] if is_exclusive else [objects - 0.5]
    content = workflow(several.task, "training", largest_component=True).parser.get_parsed_content
    cleaned = content("validate#postprocessing")({"pred": torch.as_tensor(np.concatenate(scores))})["pred"].numpy()
    found = [cleaned[0] == 1, cleaned[0] == 2] if is_exclusive else [mask == 1 for mask in cleaned]
    wanted = objects.copy()
    wanted[0, 26:29, 26:29] = wanted[1, 6:9, 6:9] = False
    if is_exclusive:
        wanted[0] &= ~objects[1]  # where the second class was taken away, nothing is left
    assert np.array_equal(found, wanted)


def test_colours_behind_an_opaque_alpha_channel_are_those_without_it(tmp_path):
    task = BUILDING.on(write_tiles(tmp_path / "data", 1, both=2))
    with_alpha = task.data / task.image_file.format(0)
    save(tmp_path / "without.png", array(with_alpha)[..., :3].copy())
    preprocessing = pipeline(task, "inference")
    one, two = (preprocessing({"image": str(file)})["image"] for file in (with_alpha, tmp_path / "without.png"))
    assert one.shape == (3, 48, 40)
    assert np.array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize("shape", [(20, 17), (9, 50), (1, 3)], ids=str)
def test_a_tile_smaller_than_the_window_is_predicted_at_its_size(building, finished_runs, tmp_path, shape):
    folder = building.write(tmp_path / "data", 1, shape=shape)
    settings = {"run_dir": str(finished_runs(building).path), "output_dir": str(tmp_path / "out")}
    run(building, "inferring", dataset_dir=str(folder / "images"), **settings)
    assert array(tmp_path / "out" / "tile_00.png").shape == shape


@pytest.fixture(scope="module")
def empty_tiles(tmp_path_factory) -> FinishedRun:
    """The finished run of tiles of which each section has one with a building and one without."""
    folder = tmp_path_factory.mktemp("empty")
    for first, section in ((0, "train"), (2, "val"), (4, "test")):
        place = BUILDING.write(folder / "data" / section, 2, first=first)
        save(place / BUILDING.mask_file.format(first + 1), np.zeros(BUILDING.shape, np.uint8))
    return trained_and_evaluated(BUILDING.on(folder / "data"), folder / "run", max_epochs=1)


def dice_cells(path: Path) -> dict[str, str]:
    return {row["case"]: row["dice"] for row in rows(path / "metrics")}


def test_a_false_alarm_on_a_tile_without_a_building_has_dice_0(empty_tiles):
    assert array(empty_tiles.path / "predictions" / "tile_05.png").any()
    assert dice_cells(empty_tiles.path)["tile_05"] == "0.000000"


def test_where_nothing_is_predicted_an_empty_tile_is_undefined_and_another_one_missed(empty_tiles, tmp_path):
    path = Path(shutil.copytree(empty_tiles.path, tmp_path / "run"))
    run(empty_tiles.task, "evaluating", run_dir=str(path), min_object_size=64 * 64 + 1)
    assert not array(path / "predictions" / "tile_04.png").any()
    assert dice_cells(path) == {"tile_04": "0.000000", "tile_05": ""}
    summary = json.loads((path / "metrics" / "summary.json").read_text())["dice"]["building"]
    assert (summary["mean"], summary["n"], summary["n_empty"]) == (0, 1, 1)


def test_the_kept_model_is_the_last_one(building, finished_runs):
    checkpoints = finished_runs(building).path / "checkpoints"
    last, kept = load(checkpoints / "last.pt"), load(checkpoints / "best.pt")
    assert kept["facts"]["epoch"] == last["facts"]["epoch"] == 2
    assert all(np.array_equal(weight, kept["model"][name]) for name, weight in last["model"].items())


def test_shares_leave_the_test_section_empty_for_a_cross_validation(building):
    validated = []
    for fold in range(2):
        bundle = workflow(building, "training", shares=[0.8, 0.2, 0], fold=fold)
        parts = bundle.parser.get_parsed_content("run_folder").sections
        assert len(parts["training"]) + len(parts["validation"]) == 8
        assert not parts["test"]
        validated.append({record["image"] for record in parts["validation"]})
    assert not validated[0] & validated[1]


def test_the_tiles_of_a_fold_are_evaluated_on_request(building, finished_runs, tmp_path):
    path = Path(shutil.copytree(finished_runs(building).path, tmp_path / "run"))
    run(building, "evaluating", run_dir=str(path), evaluate_section="validation")
    assert list(dice_cells(path)) == [stem(record["image"]) for record in sections(path)["validation"]]
