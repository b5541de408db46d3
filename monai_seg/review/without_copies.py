"""What the figures of a run are without the test cases that it has, nearly or exactly, trained on."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_seg.data.duplicates.audited import OF_RUN, AuditedImage
from monai_seg.data.duplicates.copies import clusters
from monai_seg.data.duplicates.leaks import LeakReport
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.handlers.case_table import MEAN, summarise
from monai_seg.metrics.bootstrap import bootstrap_interval

_NO_METRICS = ("case", "class", "file", "person", "reference", "prediction")


@dataclass(frozen=True)
class Figure:
    """A mean over cases with its 95% bootstrap interval; NaN where nothing is defined."""

    mean: float
    ci_low: float
    ci_high: float
    n: int


@dataclass(frozen=True)
class MetricChange:
    """A metric with all test cases, and without those that have a copy in training.

    Args:
        table: "test", or the name of an external test set.
        metric, class_name: as in ``per_case.csv``; "mean" is the average over classes.
        every, unseen: with all cases, and without copies.
    """

    table: str
    metric: str
    class_name: str
    every: Figure
    unseen: Figure


def metric_changes(run_dir: str | os.PathLike[str], report: LeakReport) -> list[MetricChange]:
    """Compute the tables of a run again without the cases that have a copy in its training section.

    Means and intervals are made as in ``summary.json``. Of a classifier's table the accuracy and the recall of each
    class are taken; the average of the latter is the balanced accuracy.

    Args:
        run_dir: folder of the run.
        report: an audit of `images_of_run`.

    Raises:
        ValueError: the run was not evaluated, or a table names cases that the audit does not know.
    """
    of_run = {"", OF_RUN}
    trained = {n for n, image in enumerate(report.images) if image.data in of_run and image.section == "training"}
    seen = {n for members in clusters(report.copies) if trained.intersection(members) for n in members}
    tables = {"test": Path(run_dir) / "metrics" / "per_case.csv"}
    if not tables["test"].is_file():
        raise ValueError(f"{run_dir} holds no metrics/per_case.csv\n  mend   evaluate the run first")
    tested = {"test": [n for n, image in enumerate(report.images) if image.data in of_run and image.section == "test"]}
    for data in dict.fromkeys(image.data for image in report.images if image.data not in of_run):
        name = data.rpartition("/")[2]
        file = Path(run_dir) / "external" / name / "per_case.csv"
        if file.is_file():
            tables[name] = file
            tested[name] = [n for n, image in enumerate(report.images) if image.data == data]
    changes = []
    for name, file in tables.items():
        images = [report.images[n] for n in tested[name]]
        changes += _changes(name, file, images, [n in seen for n in tested[name]])
    return changes


def _changes(name: str, file: Path, images: Sequence[AuditedImage], seen: Sequence[bool]) -> list[MetricChange]:
    with open(file, encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    apart = folders_apart([first_image(image.record) for image in images])
    place = {_case(image, apart): number for number, image in enumerate(images)}
    cases = list(dict.fromkeys(row["case"] for row in rows))
    strangers = [case for case in cases if case not in place]
    if strangers:
        raise ValueError(
            f"{file} names {len(strangers)} cases that are not in the audit, such as {strangers[0]}\n"
            "  mend   name the data set that the run was evaluated on, as it was then"
        )
    is_kept = np.array([not seen[place[case]] for case in cases], bool)
    groups = [str(images[place[case]].group or place[case]) for case in cases]
    every, unseen = (_figures(rows, cases, groups, kept) for kept in (np.ones_like(is_kept), is_kept))
    return [MetricChange(name, *key, every[key], unseen[key]) for key in every]


def _case(image: AuditedImage, apart: dict[str, str]) -> str:
    """The name of a case in the tables of its run."""
    file = first_image(image.record)
    return Path(apart[file], stem(file)).as_posix()


def _figures(
    rows: Sequence[dict[str, str]], cases: Sequence[str], groups: Sequence[str], kept: np.ndarray
) -> dict[tuple[str, str], Figure]:
    classes = list(dict.fromkeys(row["class"] for row in rows))
    number, column = {case: n for n, case in enumerate(cases)}, {name: n for n, name in enumerate(classes)}
    ours = [group for group, keep in zip(groups, kept, strict=True) if keep]

    def table(cell: str) -> np.ndarray:
        values = np.full((len(cases), len(classes)), np.nan)
        for row in rows:
            value = float(row["prediction"] == row["reference"]) if cell == "prediction" else float(row[cell] or "nan")
            values[number[row["case"]], column[row["class"]]] = value
        return values[kept]

    if rows and {"reference", "prediction"} <= rows[0].keys():  # a classifier: one row a case, of its true class
        correct = table("prediction")
        figures = {("accuracy", MEAN): _figure(np.nanmax(correct, axis=1)[:, None] if len(correct) else correct, ours)}
        figures |= {("recall", each): _figure(correct[:, [n]], ours) for n, each in enumerate(classes)}
        return figures | {("recall", MEAN): _figure(correct, ours)}
    metrics = [name for name in (rows[0] if rows else {}) if name not in _NO_METRICS]
    summary = summarise(classes, {name: table(name) for name in metrics}, ours)
    shown = {
        (metric, each): entry
        for metric, entries in summary.items()
        for each, entry in entries.items()
        if len(classes) > 1 or each == MEAN  # the mean of one class is that class
    }
    return {
        key: Figure(_or_nan(entry["mean"]), _or_nan(entry["ci_low"]), _or_nan(entry["ci_high"]), int(entry["n"] or 0))
        for key, entry in shown.items()
    }


def _figure(values: np.ndarray, groups: Sequence[str]) -> Figure:
    low, high = bootstrap_interval(values, groups) if len(values) else (np.nan, np.nan)
    defined = ~np.isnan(values)
    means = [float(column[known].mean()) for column, known in zip(values.T, defined.T, strict=True) if known.any()]
    return Figure(float(np.mean(means)) if means else np.nan, low, high, int(defined.any(axis=1).sum()))


def _or_nan(value: float | int | None) -> float:
    return float("nan") if value is None else float(value)
