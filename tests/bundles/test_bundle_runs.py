"""Each bundle from data to tables: trained for two epochs, evaluated, inferred, and tested on data of others."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from bundle_helpers import load, refused, rows, run, sections, stem, workflow
from bundle_tasks import Task, array
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_seg.engines import RunFolderError


def test_run_folder_holds_what_the_design_says(finished):
    files = {path.relative_to(finished.path).as_posix() for path in finished.path.rglob("*") if path.is_file()}
    assert {
        "config.yaml", "environment.json", "datalist.json", "checkpoints/last.pt", "checkpoints/best.pt",
        "metrics/per_case.csv", "metrics/summary.json",
    } <= files  # fmt: skip
    assert len([file for file in files if file.startswith("tensorboard/")]) == 1
    assert {file.split("/")[0] for file in files} <= {
        "config.yaml", "environment.json", "datalist.json", "checkpoints", "tensorboard", "metrics", "predictions",
        "figures", "train.log",
    }  # fmt: skip
    assert not [file for file in files if "tmp" in file]


def test_recorded_configuration_is_the_one_that_ran(finished):
    config = yaml.safe_load((finished.path / "config.yaml").read_text())
    recorded = ConfigParser(config)
    assert {key: recorded[key] for key in finished.task.settings} == finished.task.settings
    assert "_meta_" not in config


def test_recorded_environment_says_on_what(finished):
    session = json.loads((finished.path / "environment.json").read_text())["sessions"][0]
    assert session["packages"]["torch"] in torch.__version__
    assert {"time", "command", "device", "device_name", "git_revision", "data_hash"} <= session.keys()


def test_sections_are_disjoint_and_complete(finished):
    parts = sections(finished.path)
    images = [record["image"] for records in parts.values() for record in records]
    assert len(images) == len(set(images)) == 8
    assert all(parts.values())
    assert all(not Path(image).is_absolute() for image in images)


def test_checkpoints_hold_plain_values_and_finite_weights(finished):
    last, best = (load(finished.path / "checkpoints" / f"{name}.pt") for name in ("last", "best"))
    assert last.keys() >= {"format", "facts", "model", "optimizer", "schedule", "selection"}
    assert best.keys() == {"format", "facts", "model"}
    assert last["facts"]["epoch"] == 2
    assert last["facts"]["epoch_is_closed"]
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())
    keep = yaml.safe_load((finished.path / "config.yaml").read_text()).get("keep", "best")
    best_epoch, best_metric = last["selection"]["best_epoch"], last["selection"]["best_metric"]
    assert best["facts"]["metric"] == "dice"
    assert best["facts"]["epoch"] == {"best": best_epoch, "last": 2}[keep]
    assert (best["facts"]["value"] == best_metric) or (keep == "last" and best["facts"]["value"] < best_metric)


def test_table_has_one_row_for_each_case_and_class(finished):
    task, table = finished.task, rows(finished.path / "metrics")
    assert list(table[0]) == ["case", "class", *task.metrics]
    cases = sorted(stem(record["image"]) for record in sections(finished.path)["test"])
    wanted = [(case, class_name) for case in cases for class_name in task.class_names]
    assert [(row["case"], row["class"]) for row in table] == wanted
    values = [row[metric] for row in table for metric in task.metrics if metric != "hd95"]
    assert all(value == "" or 0 <= float(value) <= 1 for value in values)
    assert all(row["hd95"] == "" or 0 <= float(row["hd95"]) < 1000 for row in table)


def test_summary_is_the_mean_of_the_table(finished):
    table = rows(finished.path / "metrics")
    summary = json.loads((finished.path / "metrics" / "summary.json").read_text())
    assert list(summary) == finished.task.metrics
    for metric, classes in summary.items():
        assert list(classes) == [*finished.task.class_names, "mean"]
        for class_name, entry in classes.items():
            assert list(entry) == ["mean", "median", "ci_low", "ci_high", "n", "n_empty", "n_groups"]
            cells = [row[metric] for row in table if row["class"] == class_name]
            if class_name != "mean":
                defined = [float(cell) for cell in cells if cell]
                assert (entry["n"], entry["n_empty"]) == (len(defined), len(cells) - len(defined))
                assert entry["mean"] == pytest.approx(np.mean(defined), abs=1e-6)


def test_table_agrees_with_the_masks_on_disk(finished):
    for row in rows(finished.path / "metrics"):
        record = next(r for r in sections(finished.path)["test"] if stem(r["image"]) == row["case"])
        label = finished.task.labels(finished.task.data / record["label"])
        prediction = array(predicted_file(finished.path / "predictions", record["image"]))
        number = finished.task.class_names.index(row["class"]) + 1
        predicted, wanted = prediction == number, label == number
        dice = 2 * (predicted & wanted).sum() / (predicted.sum() + wanted.sum())
        assert float(row["dice"]) == pytest.approx(dice, abs=1e-6)


def predicted_file(folder: Path, image: str) -> Path:
    return folder / Path(image).name


def test_predictions_have_the_geometry_of_their_inputs(finished):
    tests = sections(finished.path)["test"]
    assert {path.name for path in (finished.path / "predictions").iterdir()} == {Path(r["image"]).name for r in tests}
    for record in tests:
        source = finished.task.data / record["image"]
        path = predicted_file(finished.path / "predictions", record["image"])
        assert array(path).dtype == np.uint8
        assert_same_geometry(path, source)


def assert_same_geometry(prediction: Path, image: Path) -> None:
    """One value for each pixel or voxel; of a volume the header says so too."""
    dims = array(prediction).ndim
    assert array(prediction).shape == array(image).shape[:dims]
    if dims == 2:
        return
    one, two = nib.load(prediction), nib.load(image)
    assert np.array_equal(one.affine, two.affine)
    for key in ("pixdim", "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "xyzt_units", "descrip"):
        assert np.array_equal(one.header[key], two.header[key]), key


def test_figures_show_the_test_cases(finished):
    tests = {stem(record["image"]) for record in sections(finished.path)["test"]}
    figures = list((finished.path / "figures").iterdir())
    assert {path.stem for path in figures} == tests
    picture = array(figures[0])
    assert picture.ndim == 3
    assert picture.std() > 10


def test_tensorboard_holds_scalars_layout_and_pictures(finished):
    events = EventAccumulator(str(finished.path / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    wanted = {"loss/train", "loss/validation", "learning_rate/group_0", "speed/seconds_per_step", "dice/mean"}
    watched = [metric for metric in finished.task.metrics if metric != "hd95"]  # that one waits for the test
    wanted |= {f"{metric}/{each}" for metric in watched for each in finished.task.class_names}
    assert wanted <= set(tags["scalars"])
    length = load(finished.path / "checkpoints" / "last.pt")["facts"]["epoch_length"]
    assert [event.step for event in events.Scalars("loss/train")] == [length, 2 * length]
    assert all(math.isfinite(event.value) for event in events.Scalars("loss/train"))
    drawn = {f"review/{stem(record['image'])}" for record in sections(finished.path)["validation"][:4]}
    assert drawn <= set(tags["images"])


def test_inferring_equals_evaluating(finished, tmp_path):
    tests = sections(finished.path)["test"]
    images = tmp_path / "images"
    images.mkdir()
    for record in tests:
        shutil.copy(finished.task.data / record["image"], images)
    settings = {"run_dir": str(finished.path), "output_dir": str(tmp_path / "out")}
    run(finished.task, "inferring", dataset_dir=str(images), **settings)
    for record in tests:
        evaluated = predicted_file(finished.path / "predictions", record["image"])
        inferred = predicted_file(tmp_path / "out", record["image"])
        assert np.array_equal(array(inferred), array(evaluated))
        assert_same_geometry(inferred, images / Path(record["image"]).name)


def test_one_file_is_input_enough(finished, tmp_path):
    image = finished.task.data / sections(finished.path)["test"][0]["image"]
    settings = {"run_dir": str(finished.path), "output_dir": str(tmp_path / "out")}
    run(finished.task, "inferring", dataset_dir=str(image), **settings)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [image.name]


def test_data_of_others_is_an_external_test_set(finished, tmp_path):
    own = (finished.path / "metrics" / "per_case.csv").read_bytes()
    other = finished.task.write(tmp_path / "hospital_b", 3, seed=5)
    copy = Path(shutil.copytree(finished.path, tmp_path / "run"))
    run(finished.task, "evaluating", run_dir=str(copy), dataset_dir=str(other))
    folder = copy / "external" / "hospital_b"
    assert {path.name for path in folder.iterdir()} >= {"per_case.csv", "summary.json"}
    assert len(rows(folder)) == 3 * len(finished.task.class_names)
    assert (copy / "metrics" / "per_case.csv").read_bytes() == own


def test_external_test_set_with_cases_trained_on_is_refused(finished, tmp_path):
    other = Path(shutil.copytree(finished.task.data, tmp_path / "sold_as_new"))
    seen = sum(len(sections(finished.path)[name]) for name in ("training", "validation"))
    with refused(RunFolderError, f"{seen} of 8 cases", "were trained on", "mend"):
        run(finished.task, "evaluating", run_dir=str(finished.path), dataset_dir=str(other))
    assert not (finished.path / "external").exists()


def test_a_run_is_never_overwritten(finished):
    before = (finished.path / "checkpoints" / "last.pt").read_bytes()
    with refused(RunFolderError, "already holds a run", "--resume true"):
        run(finished.task, "training", run_dir=str(finished.path))
    assert (finished.path / "checkpoints" / "last.pt").read_bytes() == before


def test_evaluating_before_training_says_so(task, tmp_path):
    with refused(RunFolderError, "holds no checkpoints/best.pt", "train first"):
        run(task, "evaluating", run_dir=str(tmp_path / "run"))


def test_without_names_the_newest_run_is_taken(membrane, finished_runs, tmp_path, monkeypatch):
    """A bundle that was copied elsewhere: runs beside it, evaluated and inferred without naming them."""
    root = tmp_path / "bundles" / membrane.name
    shutil.copytree(membrane.root / "configs", root / "configs")
    monkeypatch.chdir(tmp_path)

    class Copy(Task):
        def config(self, file: str) -> Path:
            return root / "configs" / file

    copy = Copy(**{field.name: getattr(membrane, field.name) for field in dataclasses.fields(membrane)})
    with refused(RunFolderError, f"no run of {membrane.name} has a best.pt", "train first"):
        run(copy, "evaluating")
    run(copy, "training", max_epochs=1)
    run(copy, "evaluating")
    (folder,) = (tmp_path / "runs" / membrane.name).iterdir()
    assert (folder / "metrics" / "summary.json").is_file()
    run(copy, "inferring")
    assert len(list((tmp_path / "predictions").iterdir())) == len(list((membrane.data / "images").iterdir()))


def test_time_budget_ends_validates_and_saves(task, tmp_path):
    run(task, "training", run_dir=str(tmp_path / "run"), max_epochs=10_000, time_budget_s=0.5)
    last = load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert last["facts"]["epoch"] < 10_000
    assert last["facts"]["epoch_is_closed"]
    assert (tmp_path / "run" / "checkpoints" / "best.pt").is_file()


def test_patience_ends_training(membrane, tmp_path):
    run(membrane, "training", run_dir=str(tmp_path / "run"), max_epochs=30, patience=1, learning_rate=0.0)
    last = load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert last["facts"]["epoch"] == 2  # the first validation is the best, the second no better
    assert last["selection"]["best_epoch"] == 1


def test_folds_take_turns_in_validation(membrane, tmp_path):
    validated, tested = [], []
    for fold in range(2):
        bundle = workflow(membrane, "training", fold=fold, run_dir=str(tmp_path / str(fold)))
        parts = bundle.parser.get_parsed_content("run_folder").sections
        validated.append({record["image"] for record in parts["validation"]})
        tested.append({record["image"] for record in parts["test"]})
    assert not validated[0] & validated[1]
    assert tested[0] == tested[1]
