"""The table of cases and classes, its summary, and both as an evaluator writes them."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import Activationsd, AsDiscreted, Compose
from toy_run import VALIDATION_CASES, ToyCases

from monai_seg.engines import Evaluator, RunFolder
from monai_seg.handlers import CaseMetric, CaseTable
from monai_seg.handlers.case_table import per_case_csv, summarise, summary_text
from monai_seg.metrics import Dice, HausdorffDistance, IoU, bootstrap_interval
from monai_seg.metrics.surface import SurfaceDice

NAN = math.nan
CLASSES = ["anterior", "posterior"]
DICE = np.array([[0.5, NAN], [0.75, 0.25], [1.0, NAN]])


def test_an_undefined_value_is_an_empty_cell_and_no_row_is_dropped():
    text = per_case_csv(["a", "b,1"], CLASSES, {"dice": DICE[:2], "nsd": np.array([[1.0, 0.0], [NAN, 1 / 3]])})
    assert text == (
        "case,class,dice,nsd\n"
        "a,anterior,0.500000,1.000000\n"
        "a,posterior,,0.000000\n"
        '"b,1",anterior,0.750000,\n'
        '"b,1",posterior,0.250000,0.333333\n'
    )


def test_summary_by_hand():
    summary = summarise(CLASSES, {"dice": DICE})["dice"]
    assert list(summary) == ["anterior", "posterior", "mean"]
    low, high = bootstrap_interval(DICE[:, :1])
    counts = {"n": 3, "n_empty": 0, "n_groups": 3}
    assert summary["anterior"] == {"mean": 0.75, "median": 0.75, "ci_low": low, "ci_high": high, **counts}
    # One value says nothing of its spread.
    counts = {"n": 1, "n_empty": 2, "n_groups": 1}
    assert summary["posterior"] == {"mean": 0.25, "median": 0.25, "ci_low": None, "ci_high": None, **counts}
    assert summary["mean"]["mean"] == 0.5
    assert summary["mean"]["median"] == 0.5  # of 0.5, (0.75 + 0.25) / 2 and 1
    assert (summary["mean"]["n"], summary["mean"]["n_empty"]) == (3, 0)
    assert 0.25 <= summary["mean"]["ci_low"] < summary["mean"]["ci_high"] <= 1


def test_summary_of_nothing_defined_is_json_without_nan():
    summary = summarise(["object"], {"dice": np.full((2, 1), NAN)})["dice"]
    counts = {"n": 0, "n_empty": 2, "n_groups": 0}
    assert summary["object"] == {"mean": None, "median": None, "ci_low": None, "ci_high": None, **counts}
    json.dumps(summary, allow_nan=False)


def test_cases_of_one_patient_widen_the_interval():
    values = np.repeat([0.2, 0.4, 0.9], 10)[:, None]
    groups = np.repeat(["p", "q", "r"], 10).tolist()
    alone, together = (summarise(["object"], {"dice": values}, given)["dice"]["object"] for given in (None, groups))
    assert together["mean"] == pytest.approx(alone["mean"]) == pytest.approx(0.5)
    assert together["ci_high"] - together["ci_low"] > 2 * (alone["ci_high"] - alone["ci_low"])


def test_a_patient_weighs_the_same_with_one_image_or_with_nine():
    values = np.array([0.9] * 9 + [0.1])[:, None]
    entry = summarise(["object"], {"dice": values}, ["p"] * 9 + ["q"])["dice"]["object"]
    assert entry["mean"] == entry["median"] == pytest.approx(0.5)
    assert (entry["n"], entry["n_groups"]) == (10, 2)
    assert (entry["ci_low"], entry["ci_high"]) == pytest.approx((0.1, 0.9))


def test_summary_in_a_terminal():
    text = summary_text(summarise(CLASSES, {"dice": DICE}))
    assert "posterior  0.2500  [undefined, undefined]  n=1" in text
    assert len(text.splitlines()) == 3
    assert len(summary_text(summarise(["object"], {"dice": DICE[:, :1]})).splitlines()) == 1


def evaluated(run, groups=None, handler=None):
    records = run.evaluator.data_loader.dataset.data
    for record, group in zip(records, groups or (), strict=False):
        record["group"] = group
    table = handler or CaseTable(["object"], run.run_folder)
    table.attach(run.evaluator)
    run.evaluator.run()
    return run.run_folder.path / "metrics"


def expected_dice(run) -> list[float]:
    """Dice of each case, from sums over the masks."""
    scores = []
    run.network.eval()
    for index in range(VALIDATION_CASES):
        case = run.evaluator.data_loader.dataset[index]
        with torch.no_grad():
            predicted = run.network(case["image"].as_tensor()[None]).argmax(1)[0] > 0
        reference = case["label"].as_tensor()[0] > 0
        scores.append((2 * (predicted & reference).sum() / (predicted.sum() + reference.sum())).item())
    return scores


def test_files_of_an_evaluation(toy):
    run = toy()
    folder = evaluated(run)
    scores = expected_dice(run)
    assert len(set(scores)) > 1
    with open(folder / "per_case.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["case_0", "case_1", "case_2"]
    assert [float(row["dice"]) for row in rows] == pytest.approx(scores, abs=1e-6)
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary) == ["dice"]  # the loss leaves no details
    assert summary["dice"]["object"]["mean"] == pytest.approx(np.mean(scores))
    assert summary["dice"]["object"] == summary["dice"]["mean"]
    assert (
        run.evaluator.state.metrics["dice"]
        == run.evaluator.state.metrics["dice_object"]
        == pytest.approx(np.mean(scores))
    )


def test_cases_of_one_name_are_told_apart_by_their_folders(toy, tmp_path):
    run = toy()
    names = ["left/a.png", "right/a.png", "right/b.png"]
    for record, name in zip(run.evaluator.data_loader.dataset.data, names, strict=True):
        record["image"] = str(tmp_path / name)
    with open(evaluated(run) / "per_case.csv", newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == ["left/a", "right/a", "right/b"]


def test_order_of_the_loader_does_not_matter(toy):
    run = toy()
    first = evaluated(run)
    table = (first / "per_case.csv").read_bytes(), (first / "summary.json").read_bytes()

    class Backwards(ToyCases):
        def __getitem__(self, key):
            return super().__getitem__(len(self) - 1 - key)

    other = toy(name="other")
    other.evaluator.data_loader.dataset.__class__ = Backwards
    second = evaluated(other)
    assert ((second / "per_case.csv").read_bytes(), (second / "summary.json").read_bytes()) == table


def test_groups_of_the_datalist_reach_the_interval(toy):
    alone = json.loads((evaluated(toy(name="alone")) / "summary.json").read_text())
    together = json.loads((evaluated(toy(name="together"), ["p", "p", "p"]) / "summary.json").read_text())
    assert alone["dice"]["object"]["ci_low"] < alone["dice"]["object"]["ci_high"]
    assert together["dice"]["object"]["ci_low"] is None
    assert together["dice"]["object"]["mean"] == alone["dice"]["object"]["mean"]


def test_a_second_evaluation_counts_no_case_twice(toy):
    run = toy()
    folder = evaluated(run)
    first = (folder / "per_case.csv").read_text()
    run.evaluator.run()
    assert (folder / "per_case.csv").read_text() == first


def test_cases_that_a_sampler_repeats_count_once(toy):
    first = (evaluated(toy(name="once")) / "summary.json").read_bytes()

    class Padded(ToyCases):
        def __len__(self):
            return VALIDATION_CASES + 2

        def __getitem__(self, key):
            return super().__getitem__(key % VALIDATION_CASES)

    run = toy(name="padded")
    run.evaluator.data_loader.dataset.__class__ = Padded
    run.evaluator.state.epoch_length = None
    folder = evaluated(run)
    assert len((folder / "per_case.csv").read_text().splitlines()) == 1 + VALIDATION_CASES
    assert (folder / "summary.json").read_bytes() == first


def test_without_a_run_folder_nothing_is_written(toy):
    run = toy()
    run.evaluator.run()
    assert not run.run_folder.results.exists()
    assert "dice_object" in run.evaluator.state.metrics


class LineCases(torch.utils.data.Dataset):
    """Two cases of a line of eight pixels; the image of each is its prediction's logits."""

    def __init__(self, predictions: list[list[str]], references: list[list[str]]) -> None:
        self.data = [{"image": f"case_{index}.png"} for index in range(len(predictions))]
        self._cases = list(zip(predictions, references, strict=True))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, MetaTensor]:
        prediction, reference = (torch.tensor([[[int(c) for c in row]] for row in rows]) for rows in self._cases[index])
        meta = {"filename_or_obj": self.data[index]["image"]}
        return {
            "image": MetaTensor(prediction.float() * 8 - 4, meta=meta),
            "label": MetaTensor(reference.to(torch.uint8), meta=meta),
        }


def table_of(cases: LineCases, folder, class_names: list[str], **metrics) -> list[dict[str, str]]:
    run_folder = RunFolder(folder, run_dir=folder / "run")
    handlers = {name: CaseMetric(metric) for name, metric in metrics.items()}
    evaluator = Evaluator(
        torch.device("cpu"),
        DataLoader(cases, batch_size=1),
        torch.nn.Identity(),
        postprocessing=Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)]),
        key_val_metric={"dice": handlers.pop("dice")},
        additional_metrics=handlers,
        val_handlers=[CaseTable(class_names, run_folder)],
        amp=False,
    )
    evaluator.run()
    with open(run_folder.path / "metrics" / "per_case.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_masks_of_classes_that_overlap_have_the_names_of_their_channels(tmp_path):
    cases = LineCases(
        [["11110000", "00110000"], ["11000000", "00000000"]],
        [["11000000", "01110000"], ["11000000", "00000000"]],  # the second class of the second case is nowhere
    )
    metrics = {
        "dice": Dice(2, include_background=True),
        "iou": IoU(2, include_background=True),
        "nsd": SurfaceDice([1.0, 1.0], include_background=True),
        "hd95": HausdorffDistance(2, include_background=True, percentile=95),
    }
    rows = table_of(cases, tmp_path, ["building", "tree"], **metrics)
    found = {(row["case"], row["class"]): (row["dice"], row["iou"]) for row in rows}
    assert found == {
        ("case_0", "building"): ("0.666667", "0.500000"),
        ("case_0", "tree"): ("0.800000", "0.666667"),
        ("case_1", "building"): ("1.000000", "1.000000"),
        ("case_1", "tree"): ("", ""),
    }
    assert [row["nsd"] for row in rows[2:]] == ["1.000000", ""]
    summary = json.loads((tmp_path / "run" / "metrics" / "summary.json").read_text())["dice"]
    assert summary["building"]["mean"] == pytest.approx(5 / 6)
    assert (summary["tree"]["mean"], summary["tree"]["n"], summary["tree"]["n_empty"]) == (pytest.approx(0.8), 1, 1)


@pytest.mark.parametrize(
    ("num_classes", "include_background"), [(2, False), (1, True)], ids=["label map with background", "single mask"]
)
def test_one_class_has_one_row_however_its_metric_counts(num_classes, include_background, tmp_path):
    cases = LineCases([["11110000"]], [["11000000"]])
    rows = table_of(cases, tmp_path, ["membrane"], dice=Dice(num_classes, include_background))
    assert [(row["class"], row["dice"]) for row in rows] == [("membrane", "0.666667")]


def test_metrics_that_leave_the_first_mask_out_as_background_are_refused(tmp_path):
    cases = LineCases([["11110000", "00110000"]], [["11000000", "01110000"]])
    with pytest.raises(ValueError, match="metric dice gives values for 1 classes, but class_names are building, tree"):
        table_of(cases, tmp_path, ["building", "tree"], dice=Dice(2))
