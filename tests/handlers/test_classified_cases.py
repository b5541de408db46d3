"""Judged cases: intervals over persons, tables that keep what is undefined empty, and the evaluation handler."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor

from monai_seg.engines import Evaluator
from monai_seg.handlers import ClassificationEvaluation
from monai_seg.handlers.classification_figures import write_figures
from monai_seg.handlers.classified_cases import ClassifiedCases
from monai_seg.handlers.contact_sheet import contact_sheet
from monai_seg.metrics.classification import fit_temperature

NAMES = ("anger", "fear", "joy")


def cases(persons: list[str], reference: list[int], right: float = 0.7) -> ClassifiedCases:
    draw = np.random.default_rng(3)
    scores = (
        draw.normal(size=(len(reference), 3)) + 3 * (draw.random((len(reference), 1)) < right) * np.eye(3)[reference]
    )
    files = tuple(f"/data/{NAMES[true]}/{number}.png" for number, true in enumerate(reference))
    shares = torch.from_numpy(scores).softmax(1)
    return ClassifiedCases(NAMES, files, tuple(persons), torch.tensor(reference), shares)


def test_an_interval_counts_persons_not_images():
    reference = [number % 3 for number in range(60)]
    apart = cases([f"p{number}" for number in range(60)], reference).summary()
    together = cases([f"p{number // 10}" for number in range(60)], reference).summary()
    width = {name: each["accuracy"]["mean"]["ci_high"] - each["accuracy"]["mean"]["ci_low"]
             for name, each in (("apart", apart), ("together", together))}  # fmt: skip
    spread = math.sqrt(0.7 * 0.3 / 60)
    assert width["apart"] == pytest.approx(2 * 1.96 * spread, rel=0.2)
    assert (apart["accuracy"]["mean"]["n_groups"], together["accuracy"]["mean"]["n_groups"]) == (60, 6)
    copies = cases(["a"] * 60, reference).summary()["accuracy"]["mean"]
    assert (copies["ci_low"], copies["ci_high"]) == (None, None)
    assert copies["mean"] == apart["accuracy"]["mean"]["mean"]


def test_a_class_without_a_case_is_undefined_and_not_zero():
    judged = cases([f"p{number}" for number in range(40)], [2 * (number % 2) for number in range(40)])
    told = judged.summary()
    assert judged.missing_classes == ["fear"]
    assert told["recall"]["fear"] == {
        "mean": None, "ci_low": None, "ci_high": None, "n": 0, "n_empty": 1, "n_groups": 40,
    }  # fmt: skip
    recall = [told["recall"][name]["mean"] for name in ("anger", "joy")]
    assert told["recall"]["mean"]["mean"] == pytest.approx(np.mean(recall))
    assert told["balanced_accuracy"]["mean"]["mean"] == pytest.approx(np.mean(recall))
    assert told["recall"]["mean"]["n_empty"] == 1
    results = json.loads(json.dumps(judged.results(), allow_nan=False))
    assert results["cases_of_class"] == {"anger": 20, "fear": 0, "joy": 20}
    assert results["confusion_matrix_of_rows"][1] == [None, None, None]


def test_table_by_case():
    rows = list(csv.DictReader(io.StringIO(cases(["a", "b", "c"], [0, 1, 2]).per_case_csv(Path("/data")))))
    assert [row["file"] for row in rows] == ["anger/0.png", "fear/1.png", "joy/2.png"]
    assert [row["person"] for row in rows] == ["a", "b", "c"]
    assert [row["case"] for row in rows] == ["0", "1", "2"]


@pytest.mark.parametrize("reference", [[0, 1, 2] * 6, [0, 2] * 9, [0] * 4], ids=["all", "one lacks", "one class"])
def test_pictures_of_any_cases(tmp_path, reference):
    write_figures(tmp_path, cases([f"p{number}" for number in range(len(reference))], reference))
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion.png", "roc.png", "precision_recall.png", "reliability.png", "mistakes.png",
    }  # fmt: skip


def test_a_sheet_of_nothing_and_of_broken_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert contact_sheet([], [], "none").shape[2] == 3
    grey = np.zeros((20, 10), np.uint8)
    sheet = contact_sheet([str(tmp_path / "a.png"), grey], ["broken\nfile", "black"], columns=2)
    assert sheet.shape[0] > 128


class Scores(torch.nn.Module):
    """Gives the first pixels as scores, divided by the temperature as a classifier does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.tensor(1.0))
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, image):
        return self.weight * image[:, 0, 0, :3] / self.temperature


class Images:
    def __init__(self, count: int = 30) -> None:
        draw = torch.Generator().manual_seed(2)
        self.reference = [number % 3 for number in range(count)]
        self.scores = 2 * torch.randn(count, 3, generator=draw) + 3 * torch.eye(3)[self.reference]
        self.data = [{"image": f"/x/{number:02}.png", "group": f"p{number // 2}"} for number in range(count)]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict:
        image = MetaTensor(self.scores[index].view(1, 1, 3), meta={"filename_or_obj": self.data[index]["image"]})
        return {"image": image, "label": self.reference[index]}


def judged(run_folder=None, temperature: float = 1.0):
    network, images = Scores(), Images()
    network.temperature.fill_(temperature)
    handler = ClassificationEvaluation(NAMES, run_folder, key_metric="log_likelihood")
    evaluator = Evaluator(
        torch.device("cpu"), DataLoader(images, batch_size=7), network, val_handlers=[handler], amp=False
    )
    evaluator.run()
    return network, images, handler, evaluator


@pytest.mark.parametrize("before", [1.0, 3.0])
def test_validation_judges_the_scores_as_they_are_and_keeps_the_best_temperature(before):
    network, images, handler, evaluator = judged(temperature=before)
    reference = torch.tensor(images.reference)
    assert float(network.temperature) == pytest.approx(fit_temperature(images.scores, reference), rel=1e-4)
    loss = torch.nn.functional.cross_entropy(images.scores, reference)
    assert evaluator.state.metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert evaluator.state.metrics["log_likelihood"] == pytest.approx(-loss.item(), rel=1e-5)
    assert evaluator.state.key_metric_name == "log_likelihood"
    assert evaluator.state.metrics["accuracy"] == float((images.scores.argmax(1) == reference).double().mean())
    assert handler.cases.persons[:3] == ("p0", "p0", "p1")


def test_a_test_is_judged_calibrated_and_leaves_the_temperature(tmp_path):
    folder = SimpleNamespace(results=tmp_path / "metrics", figures=tmp_path / "figures", dataset_dir="/x")
    network, images, handler, _ = judged(folder, temperature=2.5)
    assert float(network.temperature) == 2.5
    wanted = (images.scores / 2.5).softmax(1)
    assert torch.allclose(handler.cases.probabilities.float(), wanted, atol=1e-6)
    told = json.loads((tmp_path / "metrics" / "test_results.json").read_text())
    assert told["temperature"] == 2.5
    loss = torch.nn.functional.cross_entropy(images.scores, torch.tensor(images.reference)).item()
    assert told["uncalibrated"]["log_likelihood"] == pytest.approx(-loss, rel=1e-5)


def test_an_unknown_key_metric_is_refused():
    with pytest.raises(ValueError, match="key_metric is 'auc'; give one of accuracy"):
        ClassificationEvaluation(NAMES, key_metric="auc")
