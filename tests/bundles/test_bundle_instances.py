"""The bundle of instances from COCO file to tables and files of objects."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_helpers import load, refused, rows, run, sections, stem, workflow
from bundle_tasks import array
from instance_task import SLICES_OF_A_PATIENT, objects_by_image, union
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_seg.data import DataError, check
from monai_seg.engines import RunFolderError
from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions
from monai_seg.inference.bundle_workflow import BundleError
from monai_seg.transforms.mask_boxes import masks_to_boxes

MEASURES = [
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar", "box_ap", "box_ap50", "froc", "precision",
    "recall", "f1", "false_per_image", "dice", "iou", "matched_iou",
]  # fmt: skip


def test_sections_are_whole_patients(found_instances):
    parts = sections(found_instances.path)
    patients = [{stem(record["image"])[:2] for record in part} for part in parts.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))
    assert sum(map(len, parts.values())) == SLICES_OF_A_PATIENT * sum(map(len, patients)) == 12


def test_the_model_is_chosen_by_average_precision_and_keeps_its_threshold(found_instances):
    last, best = (load(found_instances.path / "checkpoints" / f"{name}.pt") for name in ("last", "best"))
    assert best["facts"]["metric"] == "ap"
    assert best["facts"]["epoch"] == last["selection"]["best_epoch"]
    assert 0 <= float(last["model"]["score_threshold"]) <= 1
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())


def test_table_has_one_row_for_each_image(found_instances):
    table = rows(found_instances.path / "metrics")
    assert list(table[0]) == ["case", "class", *found_instances.task.metrics]
    tests = sorted(stem(record["image"]) for record in sections(found_instances.path)["test"])
    assert [(row["case"], row["class"]) for row in table] == [(case, "tumor") for case in tests]


def test_table_agrees_with_the_objects_on_disk(found_instances):
    """Dice of all that was found, in the pixels of the file; counts; and a crowd counts nowhere."""
    results = json.loads((found_instances.path / "predictions" / "results.json").read_text())
    threshold = float(load(found_instances.path / "checkpoints" / "best.pt")["model"]["score_threshold"])
    names = {image["id"]: stem(image["file_name"]) for image in results["images"]}
    counted = Counter(names[each["image_id"]] for each in results["results"] if each["score"] >= threshold)
    found = objects_by_image(found_instances.path / "predictions" / "objects.json")
    wanted = objects_by_image(found_instances.task.data / "annotations.json")
    seen = 0
    for row in rows(found_instances.path / "metrics"):
        size = array(found_instances.task.data / "images" / f"{row['case']}.png").shape
        one, two = (union(objects[row["case"]], size) for objects in (found, wanted))
        assert int(float(row["n_reference"])) == len(wanted[row["case"]])
        assert int(float(row["n_predicted"])) == counted[row["case"]] >= len(found[row["case"]])
        if one.any() or two.any():
            assert float(row["dice"]) == pytest.approx(2 * (one & two).sum() / (one.sum() + two.sum()), abs=1e-6)
        else:
            assert row["dice"] == ""
        seen += len(found[row["case"]])
    assert seen > 0


class Threshold(torch.nn.Module):
    """Finds what is bright: the objects of the tests' data, in the pixels of the image that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("score_threshold", torch.tensor(0.5))

    def forward(self, images):
        return [self._objects(image[0].numpy()) for image in images]

    def _objects(self, image: np.ndarray) -> dict[str, torch.Tensor]:
        numbers, count = ndimage.label(ndimage.gaussian_filter(image, 1.0) > 0.4)
        mask = torch.from_numpy((numbers == np.arange(1, count + 1)[:, None, None]).astype(np.uint8))
        return {
            "box": masks_to_boxes(mask),
            "label": torch.zeros(count, dtype=torch.int64),
            "label_scores": torch.ones(count),
            "mask": mask,
        }


def test_what_is_found_in_the_resized_image_lies_where_it_is_in_the_file(found_instances, tmp_path):
    """Brought back exactly once: a shift of a pixel would cost a tenth of the overlap."""
    path = shutil.copytree(found_instances.path, tmp_path / "run")
    bundle = workflow(found_instances.task, "evaluating", run_dir=str(path))
    evaluator = bundle.parser.get_parsed_content("evaluate#evaluator")
    evaluator.network = Threshold()
    bundle.run()
    assert evaluator.state.metrics["ap50"] == evaluator.state.metrics["box_ap50"] == 1
    assert evaluator.state.metrics["ap75"] == evaluator.state.metrics["froc"] == 1
    assert evaluator.state.metrics["dice"] > 0.95


class Boxes(Threshold):
    """Finds the same and has no masks, as RetinaNet."""

    def _objects(self, image: np.ndarray) -> dict[str, torch.Tensor]:
        return {name: value for name, value in super()._objects(image).items() if name != "mask"}


def test_a_network_without_masks_is_judged_by_its_boxes(found_instances, tmp_path):
    path = Path(shutil.copytree(found_instances.path, tmp_path / "run"))
    shutil.rmtree(path / "predictions")
    bundle = workflow(found_instances.task, "evaluating", run_dir=str(path))
    evaluator = bundle.parser.get_parsed_content("evaluate#evaluator")
    evaluator.network = Boxes()
    bundle.run()
    assert evaluator.state.metrics["ap50"] == evaluator.state.metrics["box_ap50"] == 1
    assert sorted(each.name for each in (path / "predictions").iterdir()) == ["objects.json", "results.json"]
    content = json.loads((path / "predictions" / "objects.json").read_text())
    assert content["annotations"]
    assert not any("segmentation" in each for each in content["annotations"])
    assert {row["dice"] for row in rows(path / "metrics")} == {""}


def test_list_of_objects_agrees_with_the_table(found_instances):
    with (found_instances.path / "metrics" / "objects.csv").open(newline="") as file:
        objects = list(csv.DictReader(file))
    for row in rows(found_instances.path / "metrics"):
        for kind in ("matched", "missed", "false"):
            count = sum(each["kind"] == kind and each["case"] == row["case"] for each in objects)
            assert count == int(float(row[kind])), kind


def test_summary_has_an_interval_over_patients(found_instances):
    summary = json.loads((found_instances.path / "metrics" / "summary.json").read_text())
    assert list(summary) == MEASURES
    patients = {stem(record["image"])[:2] for record in sections(found_instances.path)["test"]}
    for measure in ("ap", "froc", "f1", "false_per_image"):
        entry = summary[measure]["mean"]
        assert entry.keys() >= {"mean", "ci_low", "ci_high", "n", "n_empty", "n_groups"}
        assert entry["n_groups"] == len(patients)
        assert summary[measure].keys() == {"tumor", "mean"}


def test_found_objects_have_the_geometry_of_their_file(found_instances):
    folder = found_instances.path / "predictions"
    content = json.loads((folder / "objects.json").read_text())
    tests = {Path(record["image"]).name for record in sections(found_instances.path)["test"]}
    assert {path.name for path in folder.iterdir()} == tests | {"objects.json", "results.json"}
    assert {image["file_name"] for image in content["images"]} == tests
    for image in content["images"]:
        size = array(found_instances.task.data / "images" / image["file_name"]).shape
        assert (image["height"], image["width"]) == size == array(folder / image["file_name"]).shape
    for case, objects in objects_by_image(folder / "objects.json").items():
        numbers = array(folder / f"{case}.png")
        best_first = sorted(objects, key=lambda each: -each["score"])
        for number, each in enumerate(best_first, start=1):
            left, top, width, height = each["bbox"]
            row, column = np.nonzero(each["mask"])
            # A mask is cut out of its box, and its edge is rounded to pixels.
            assert left - 1.5 <= column.min(initial=99)
            assert column.max(initial=0) < left + width + 1.5
            assert top - 1.5 <= row.min(initial=99)
            assert row.max(initial=0) < top + height + 1.5
            hidden = union(best_first[: number - 1], numbers.shape)
            assert np.array_equal(numbers == number, each["mask"].astype(bool) & ~hidden)


def test_results_on_disk_have_the_precision_of_the_table(found_instances):
    content = json.loads((found_instances.path / "predictions" / "results.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = content
        reference.createIndex()
        judge = COCOeval(reference, reference.loadRes(content["results"]), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    summary = json.loads((found_instances.path / "metrics" / "summary.json").read_text())
    reported = [summary[name]["mean"]["mean"] for name in ("ap", "ap50")]
    assert judge.stats[:2].tolist() == pytest.approx(reported, abs=1e-9)


def test_figures_and_curves(found_instances):
    tests = {stem(record["image"]) for record in sections(found_instances.path)["test"]}
    assert {path.stem for path in (found_instances.path / "figures").iterdir()} == tests
    events = EventAccumulator(str(found_instances.path / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    terms = {f"loss_terms/{name}" for name in ("objectness", "rpn_box", "classifier", "box", "mask")}
    assert terms | {"loss/train", "ap/mean", "ap50/tumor", "froc/mean", "dice/mean"} <= set(tags["scalars"])
    for step, total in enumerate(events.Scalars("loss/train")):
        parts = sum(events.Scalars(name)[step].value for name in terms)
        assert parts == pytest.approx(total.value, rel=1e-4)
    assert [name for name in tags["images"] if name.startswith("review/")]


def test_inferring_equals_evaluating(found_instances, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for record in sections(found_instances.path)["test"]:
        shutil.copy(found_instances.task.data / record["image"], images)
    settings = {"run_dir": str(found_instances.path), "output_dir": str(tmp_path / "out")}
    run(found_instances.task, "inferring", dataset_dir=str(images), **settings)
    written = {path.name for path in (tmp_path / "out").iterdir()} - {"figures"}
    assert written == {path.name for path in (found_instances.path / "predictions").iterdir()} - {"results.json"}
    for path in (found_instances.path / "predictions" / name for name in written):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_was_found_is_a_data_set_again(found_instances, tmp_path):
    """Beside its images, as for correcting the objects by hand and training on them."""
    tests = sections(found_instances.path)["test"]
    (tmp_path / "images").mkdir()
    for record in tests:
        shutil.copy(found_instances.task.data / record["image"], tmp_path / "images")
    shutil.copy(found_instances.path / "predictions" / "objects.json", tmp_path / "annotations.json")
    report = check(tmp_path, class_names=["tumor"])
    assert report.is_sound, report.faults
    assert report.counts["cases"] == len(tests)


def test_the_command_predicts_what_the_bundle_gives(instances, found_instances, tmp_path):
    """All good inputs in one file of objects, as ``inferring`` writes it; a bad one is said and costs no other."""
    image = found_instances.task.data / sections(found_instances.path)["test"][0]["image"]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    options = PredictionOptions((found_instances.path,), amp=False)
    batch = BatchPrediction(instances.root, tmp_path / "out", options)
    batch.run([image, tmp_path / "bad.png"])
    assert {Path(each.file).name: each.state for each in batch.outcomes} == {image.name: "done", "bad.png": "failed"}
    run(
        found_instances.task, "inferring", dataset_dir=str(image), run_dir=str(found_instances.path),
        output_dir=str(tmp_path / "own"),
    )  # fmt: skip
    for name in ("objects.json", image.name):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "own" / name).read_bytes()
    again = BatchPrediction(instances.root, tmp_path / "out", options)
    again.run([image])
    assert [each.state for each in again.outcomes] == ["exists"]
    with pytest.raises(BundleError, match="gives object, no label maps"):
        BatchPrediction(instances.root, tmp_path, replace(options, polygons=True)).run([image])


def test_one_file_is_input_enough(found_instances, tmp_path):
    image = found_instances.task.data / sections(found_instances.path)["test"][0]["image"]
    settings = {"run_dir": str(found_instances.path), "output_dir": str(tmp_path)}
    run(found_instances.task, "inferring", dataset_dir=str(image), **settings)
    assert {path.name for path in tmp_path.iterdir()} == {image.name, "objects.json", "figures"}


def test_data_of_others_is_an_external_test_set(found_instances, tmp_path):
    other = found_instances.task.write(tmp_path / "hospital_b", 3, seed=5)
    copy = Path(shutil.copytree(found_instances.path, tmp_path / "run"))
    run(found_instances.task, "evaluating", run_dir=str(copy), dataset_dir=str(other))
    folder = copy / "external" / "hospital_b"
    assert {path.name for path in folder.iterdir()} >= {"per_case.csv", "objects.csv", "summary.json"}
    assert len(rows(folder)) == 3
    same = shutil.copytree(found_instances.task.data, tmp_path / "same")
    with refused(RunFolderError, "were trained on", "mend"):
        run(found_instances.task, "evaluating", run_dir=str(copy), dataset_dir=str(same))


def test_the_average_of_the_weights_is_kept_with_a_threshold_of_its_own(instances, tmp_path):
    run(instances, "training", run_dir=str(tmp_path), average_decay=0.9, max_epochs=1)
    last, best = (load(tmp_path / "checkpoints" / f"{name}.pt") for name in ("last", "best"))
    averaged = {name.removeprefix("module."): value for name, value in last["average"].items()}
    for name, value in best["model"].items():
        assert torch.equal(value, averaged[name]), name
    run(instances, "evaluating", run_dir=str(tmp_path))


def test_a_fault_of_the_annotations_is_named_before_anything_is_trained(instances, tmp_path):
    data = Path(shutil.copytree(instances.data, tmp_path / "data"))
    content = json.loads((data / "annotations.json").read_text())
    content["annotations"][1]["segmentation"] = [[1.0, 1.0, 5.0, 5.0]]
    (data / "annotations.json").write_text(json.dumps(content))
    with refused(DataError, "2 points; 3 enclose an area", "mend"):
        run(instances.on(data), "training", run_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_class_that_nobody_named_is_refused(instances, tmp_path):
    with refused(DataError, "tumor", "class_names"):
        run(instances, "training", run_dir=str(tmp_path / "run"), class_names=["lesion"])
