"""The bundle of emotions from class folders to tables: sections by person, calibrated, external, and inferred."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_helpers import load, refused, rows, run, sections, stem, workflow
from bundle_tasks import array
from emotion_task import CLASSES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_seg.data import DataError
from monai_seg.engines import RunFolderError
from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions
from monai_seg.metrics.classification import PER_CLASS, WHOLE
from monai_seg.review import UnknownCaseError


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def results(folder: Path) -> dict:
    return json.loads((folder / "test_results.json").read_text())


def test_run_folder_holds_what_the_design_says(judged_emotions):
    files = {path.relative_to(judged_emotions.path).as_posix() for path in judged_emotions.path.rglob("*")}
    assert {
        "config.yaml", "environment.json", "datalist.json", "checkpoints/last.pt", "checkpoints/best.pt", "train.log",
        "metrics/per_case.csv", "metrics/summary.json", "metrics/test_results.json", "figures/training_curves.png",
        *(f"figures/{name}.png" for name in ("confusion", "roc", "precision_recall", "reliability", "mistakes")),
    } <= files  # fmt: skip
    assert not [file for file in files if "tmp" in file]
    for path in (judged_emotions.path / "figures").iterdir():
        assert array(path).std() > 5, path.name


def test_sections_are_whole_persons(judged_emotions):
    parts = sections(judged_emotions.path)
    people = [{record["group"] for record in part} for part in parts.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 10
    assert all(len(part) == 5 * len(person) for part, person in zip(parts.values(), people, strict=True))


def test_table_has_one_row_for_each_case(judged_emotions):
    table = rows(judged_emotions.path / "metrics")
    assert list(table[0]) == ["case", "class", *judged_emotions.task.metrics]
    tests = sections(judged_emotions.path)["test"]
    assert sorted(row["file"] for row in table) == sorted(record["image"] for record in tests)
    persons = {record["image"]: (record["group"], record["class"]) for record in tests}
    for row in table:
        assert (row["person"], row["class"]) == persons[row["file"]]
        assert row["reference"] == row["class"]
        shares = [float(row[f"probability_{name}"]) for name in CLASSES]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == CLASSES[int(np.argmax(shares))]
    assert len({row["case"] for row in table}) == len(table)


def test_summary_is_of_the_table(judged_emotions):
    metrics = pytest.importorskip("sklearn.metrics")
    table, told = rows(judged_emotions.path / "metrics"), summary(judged_emotions.path / "metrics")
    assert list(told) == [*WHOLE, *PER_CLASS]
    reference, prediction = ([row[key] for row in table] for key in ("reference", "prediction"))
    assert told["accuracy"]["mean"]["mean"] == pytest.approx(metrics.accuracy_score(reference, prediction))
    recall = metrics.recall_score(reference, prediction, labels=CLASSES, average=None)
    assert [told["recall"][name]["mean"] for name in CLASSES] == pytest.approx(recall.tolist())
    shares = np.array([[float(row[f"probability_{name}"]) for name in CLASSES] for row in table])
    area = metrics.roc_auc_score(np.array(reference) == "fear", shares[:, 1])
    assert told["roc_auc"]["fear"]["mean"] == pytest.approx(area, abs=1e-4)
    for classes in told.values():
        for entry in classes.values():
            assert {"mean", "ci_low", "ci_high", "n", "n_empty", "n_groups"} == entry.keys()
            if entry["mean"] is not None and entry["ci_low"] is not None:
                assert entry["ci_low"] <= entry["ci_high"]
    matrix = np.array(results(judged_emotions.path / "metrics")["confusion_matrix"])
    assert matrix.sum() == len(table)
    assert np.array_equal(matrix, metrics.confusion_matrix(reference, prediction, labels=CLASSES))


def test_the_temperature_is_chosen_in_validation_and_kept(judged_emotions):
    best = load(judged_emotions.path / "checkpoints" / "best.pt")
    assert best["facts"]["metric"] == "balanced_accuracy"
    told = results(judged_emotions.path / "metrics")
    assert told["temperature"] == pytest.approx(float(best["model"]["temperature"]))
    assert told["temperature"] != 1
    assert {"ece", "log_likelihood", "brier"} == told["uncalibrated"].keys()


def test_tensorboard_holds_scalars_pictures_and_curves(judged_emotions):
    events = EventAccumulator(str(judged_emotions.path / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    wanted = {"loss/train", "loss/validation", "learning_rate/group_0", "balanced_accuracy/mean", "ece/mean"}
    wanted |= {f"{metric}/{name}" for metric in PER_CLASS for name in CLASSES if metric != "precision"}
    assert wanted <= set(tags["scalars"])
    assert "confusion" in tags["images"]
    assert set(CLASSES) <= set(tags["tensors"])  # PR curves
    assert len([tag for tag in tags["images"] if tag.startswith("review/")]) >= 1
    (metadata,) = (judged_emotions.path / "tensorboard").rglob("metadata.tsv")
    assert len(metadata.read_text().splitlines()) == 1 + len(sections(judged_emotions.path)["validation"])


@pytest.mark.slow
def test_it_learns(emotions, tmp_path):
    """Stripes are told apart after a few epochs: 0.2 is chance."""
    run(emotions, "training", run_dir=str(tmp_path), max_epochs=12, val_interval=12, learning_rate=3e-3, mix_up=0.0,
        low_resolution_share=0.0, batch_size=8)  # fmt: skip
    run(emotions, "evaluating", run_dir=str(tmp_path))
    assert summary(tmp_path / "metrics")["balanced_accuracy"]["mean"]["mean"] >= 0.6


def test_inferring_says_what_evaluating_says(judged_emotions, tmp_path):
    settings = {"run_dir": str(judged_emotions.path), "output_dir": str(tmp_path)}
    run(judged_emotions.task, "inferring", dataset_dir=str(judged_emotions.task.data), **settings)
    with (tmp_path / "classes.csv").open(newline="") as file:
        said = {row["file"]: row for row in csv.DictReader(file)}
    assert len(said) == 50
    for row in rows(judged_emotions.path / "metrics"):
        other = said[str(judged_emotions.task.data / row["file"])]
        assert other["class"] == row["prediction"]
        for name in CLASSES:
            key = f"probability_{name}"
            assert float(other[key]) == pytest.approx(float(row[key]), abs=2e-5)


def test_one_file_is_input_enough(judged_emotions, tmp_path):
    image = judged_emotions.task.data / "fear" / "03.png"
    run(judged_emotions.task, "inferring", dataset_dir=str(image), run_dir=str(judged_emotions.path),
        output_dir=str(tmp_path))  # fmt: skip
    assert len((tmp_path / "classes.csv").read_text().splitlines()) == 2


def test_maps_of_chosen_and_worst_cases_are_drawn(judged_emotions, tmp_path):
    copy = Path(shutil.copytree(judged_emotions.path, tmp_path / "run"))
    case = rows(copy / "metrics")[0]["case"]
    explain = {"cases": [case], "worst": 1, "methods": ["gradcam", "gradcam++"]}
    run(judged_emotions.task, "explaining", run_dir=str(copy), explain=explain)
    assert array(copy / "figures" / "saliency.png").std() > 5
    with refused(UnknownCaseError, "no case 'nobody' was evaluated", "per_case.csv"):
        run(judged_emotions.task, "explaining", run_dir=str(copy), explain={"cases": ["nobody"]})
    with refused(ValueError, "methods hold lime; give some of gradcam"):
        run(judged_emotions.task, "explaining", run_dir=str(copy), explain={"methods": ["lime"]})


def test_data_of_others_are_mapped_by_name_and_lacking_classes_are_said(judged_emotions, tmp_path):
    own = (judged_emotions.path / "metrics" / "per_case.csv").read_bytes()
    other = judged_emotions.task.write(tmp_path / "fer", 4, seed=5)
    (other / "happiness").rename(other / "happy")
    (other / "fear").rename(other / "neutral")
    (other / "identities.csv").unlink()
    copy = Path(shutil.copytree(judged_emotions.path, tmp_path / "run"))
    settings = {"run_dir": str(copy), "dataset_dir": str(other)}
    with refused(DataError, "class 'happy' is not known", "class_map: {happy: CLASS}"):
        run(judged_emotions.task, "evaluating", **settings)
    run(judged_emotions.task, "evaluating", class_map={"happy": "happiness", "neutral": None}, **settings)
    folder = copy / "external" / "fer"
    assert {path.name for path in folder.iterdir()} >= {"per_case.csv", "summary.json", "test_results.json", "figures"}
    assert {row["class"] for row in rows(folder)} == set(CLASSES) - {"fear"}
    assert results(folder)["missing_classes"] == ["fear"]
    told = summary(folder)
    assert (told["recall"]["fear"]["mean"], told["recall"]["fear"]["n"]) == (None, 0)
    defined = [told["recall"][name]["mean"] for name in CLASSES if name != "fear"]
    assert told["recall"]["mean"]["mean"] == pytest.approx(np.mean(defined))
    assert told["recall"]["mean"]["n_empty"] == 1
    assert (copy / "metrics" / "per_case.csv").read_bytes() == own


def test_external_data_with_cases_trained_on_are_refused(judged_emotions, tmp_path):
    same = shutil.copytree(judged_emotions.task.data, tmp_path / "same")
    with refused(RunFolderError, "were trained on", "mend"):
        run(judged_emotions.task, "evaluating", run_dir=str(judged_emotions.path), dataset_dir=str(same))


def test_the_command_predicts_what_the_bundle_gives(emotions, judged_emotions, tmp_path):
    """The table of the bundle, although another input cannot be read."""
    images = [emotions.data / record["image"] for record in sections(judged_emotions.path)["test"]]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    batch = BatchPrediction(emotions.root, tmp_path / "out", PredictionOptions((judged_emotions.path,), amp=False))
    batch.run([*images, tmp_path / "bad.png"])
    assert sorted(each.state for each in batch.outcomes) == ["done"] * len(images) + ["failed"]
    with (tmp_path / "out" / "classes.csv").open(newline="") as file:
        told = {Path(row["file"]).relative_to(emotions.data).as_posix(): row["class"] for row in csv.DictReader(file)}
    assert told == {row["file"]: row["prediction"] for row in rows(judged_emotions.path / "metrics")}


@pytest.mark.parametrize("fault", ["empty class", "one class", "colour", "unreadable", "missing class"])
def test_bad_data_are_refused_before_anything_is_written(emotions, tmp_path, fault):
    data = Path(shutil.copytree(emotions.data, tmp_path / "data"))
    (data / "identities.csv").unlink()
    if fault == "empty class":
        shutil.rmtree(data / "fear")
        (data / "fear").mkdir()
        text = "the class folder holds no image"
    elif fault == "one class":
        for name in CLASSES[1:]:
            shutil.rmtree(data / name)
            (data / name).mkdir()
        text = "all cases are of one class"
    elif fault == "colour":
        from PIL import Image

        Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(data / "fear" / "03.png")
        text = "3 channels where 1 expected"
    elif fault == "unreadable":
        (data / "fear" / "03.png").write_bytes(b"no picture")
        text = "no picture that can be read"
    else:
        shutil.rmtree(data / "fear")
        text = "training has no case of class 'fear'"
    with refused(DataError, text):
        run(emotions.on(data), "training", run_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("imbalance", ["none", "weighted", "effective", "focal"])
def test_each_answer_to_imbalance_is_one_key(emotions, tmp_path, imbalance):
    run(emotions, "training", run_dir=str(tmp_path), imbalance=imbalance, max_epochs=1)
    assert all(torch.isfinite(w).all() for w in load(tmp_path / "checkpoints" / "last.pt")["model"].values())


@pytest.mark.slow
def test_several_networks_are_one_key(emotions, tmp_path):
    both = emotions.on(emotions.data, architecture=["compact", "mobilenet_v3_small"], image_size=32)
    run(both, "training", run_dir=str(tmp_path), max_epochs=1, batch_size=4)
    run(both, "evaluating", run_dir=str(tmp_path))
    best = load(tmp_path / "checkpoints" / "best.pt")["model"]
    assert {name.split(".")[1] for name in best if name.startswith("members.")} == {"0", "1"}
    assert len(rows(tmp_path / "metrics")) == len(sections(tmp_path)["test"])


def test_persons_of_folds_take_turns(emotions, tmp_path):
    seen = []
    for fold in range(5):
        bundle = workflow(emotions, "training", fold=fold, shares=[0.8, 0.2, 0], run_dir=str(tmp_path / str(fold)))
        parts = bundle.parser.get_parsed_content("run_folder").sections
        seen += [stem(record["image"]) for record in parts["validation"] if record["class"] == "fear"]
    assert sorted(seen) == [f"{person:02}" for person in range(10)]
