"""One row for each case and class: the table that every later comparison reads, and its summary."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from monai_seg.data.atomic import write_text_atomic
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.metrics.bootstrap import bootstrap_interval

logger = logging.getLogger(__name__)
MEAN = "mean"


class CaseTable:
    """Collect the metrics of an evaluator per case and class, from all ranks, and write them at its end.

    Reads ``engine.state.metric_details`` that MONAI's `IgniteMetricHandler` leaves, so it works with any metric that
    gives ``(B, C)``. The means in ``engine.state.metrics`` are set anew from the sorted table (``dice``, and
    ``dice_anterior`` for each class), so that they do not depend on the number of processes.

    Args:
        class_names: name of each class in the columns of the metrics, without background if they leave it out: of a
            label map its labels from 1 on, of masks of overlapping classes their channels (metrics with
            ``include_background=True``).
        run_folder: its ``results`` take ``per_case.csv`` and ``summary.json``; None writes nothing, as in training.

    Raises:
        ValueError: at the end of an evaluation: a metric gives values for another number of classes than are named.
    """

    def __init__(self, class_names: Sequence[str], run_folder: RunFolder | None = None) -> None:
        self.class_names, self.run_folder = list(class_names), run_folder
        self._files: list[str] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._files.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _collect(self, engine: Engine) -> None:
        self._files.extend(case_files(engine.state.batch))

    def _finish(self, engine: Any) -> None:
        # The details of the metrics come gathered in the order of the ranks; the names follow them.
        files = [file for files in from_all_ranks(list(self._files)) for file in files]
        # A sampler that pads its ranks to one length gives some cases twice; each counts once.
        files, order = (each.tolist() for each in np.unique(np.array(files), return_index=True))
        tables = {name: values.cpu().double().numpy()[order] for name, values in engine.state.metric_details.items()}
        groups = case_groups(engine.data_loader.dataset.data, files)
        for name, table in tables.items():
            _refuse_unnamed(name, table, self.class_names)
            means = _nanmean(_by_group(table, groups))
            engine.state.metrics[name] = float(_nanmean(means))
            for class_name, value in zip(self.class_names, means, strict=True):
                engine.state.metrics[f"{name}_{class_name}"] = float(value)
        if self.run_folder is not None and rank() == 0:
            apart = folders_apart(files)
            cases = [Path(apart[file], stem(file)).as_posix() for file in files]
            folder = self.run_folder.results
            write_text_atomic(folder / "per_case.csv", per_case_csv(cases, self.class_names, tables))
            summary = summarise(self.class_names, tables, groups)
            write_text_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
            logger.info("%s", summary_text(summary))
            logger.info("tables: %s", folder)


def _refuse_unnamed(name: str, table: np.ndarray, class_names: Sequence[str]) -> None:
    if table.shape[1] != len(class_names):
        raise ValueError(
            f"metric {name} gives values for {table.shape[1]} classes, but class_names are {', '.join(class_names)}\n"
            "  mend   in the metric, count background as a class of label maps (num_classes); masks that overlap\n"
            "         have none: set include_background: true"
        )


def summary_text(summary: dict[str, dict[str, dict]]) -> str:
    """The summary as a table for a terminal: a line for each metric and class, with its 95% interval."""
    width = max(len(class_name) for classes in summary.values() for class_name in classes)
    longest = max(8, *map(len, summary))
    lines = []
    for name, classes in summary.items():
        shown = {MEAN: classes[MEAN]} if len(classes) == 2 else classes  # the mean of one class is that class
        for class_name, entry in shown.items():
            value, low, high = ("undefined" if number is None else f"{number:.4f}" for number in
                                (entry["mean"], entry["ci_low"], entry["ci_high"]))  # fmt: skip
            lines.append(f"{name:<{longest}} {class_name:<{width}}  {value}  [{low}, {high}]  n={entry['n']}")
    return "\n".join(lines)


def per_case_csv(cases: Sequence[str], class_names: Sequence[str], tables: dict[str, np.ndarray]) -> str:
    """Text of ``per_case.csv``: case, class, one column per metric; a value that is undefined is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "class", *tables])
    for row, case in enumerate(cases):
        for column, class_name in enumerate(class_names):
            values = [table[row, column] for table in tables.values()]
            writer.writerow([case, class_name, *("" if np.isnan(value) else f"{value:.6f}" for value in values)])
    return text.getvalue()


def summarise(
    class_names: Sequence[str], tables: dict[str, np.ndarray], groups: Sequence[str] | None = None
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Mean, median, 95% interval and numbers of values, for each metric and class and for the average over classes.

    The cases of a group, such as the images of a patient, are averaged first, so that each patient weighs the same
    and is drawn as a whole for the interval. ``n`` and ``n_empty`` count cases with and without a defined value,
    ``n_groups`` what was averaged. Voxels are never pooled.

    Args:
        class_names: name of each column.
        tables: for each metric the values ``(N, C)``, NaN where undefined.
        groups: which cases belong together; None: each is a group of its own.
    """
    summary: dict = {}
    for name, table in tables.items():
        columns = {class_name: table[:, [index]] for index, class_name in enumerate(class_names)}
        summary[name] = {class_name: _summary_of(values, groups) for class_name, values in columns.items()}
        summary[name][MEAN] = _summary_of(table, groups)
    return summary


def _summary_of(values: np.ndarray, groups: Sequence[str] | None) -> dict[str, float | int | None]:
    rows = _by_group(values, groups)
    low, high = bootstrap_interval(rows)
    averages = _nanmean(rows.T)
    averages = averages[~np.isnan(averages)]
    defined = ~np.isnan(values).all(axis=1)
    return {
        "mean": _number(float(_nanmean(_nanmean(rows)))),
        "median": float(np.median(averages)) if len(averages) else None,
        "ci_low": _number(low),
        "ci_high": _number(high),
        "n": int(defined.sum()),
        "n_empty": int((~defined).sum()),
        "n_groups": len(averages),
    }


def _by_group(values: np.ndarray, groups: Sequence[str] | None) -> np.ndarray:
    """Mean of each group and class, ``(G, C)``, NaN where undefined in all of its cases."""
    if groups is None:
        return values
    names = list(dict.fromkeys(groups))
    members = np.array(groups)
    return np.stack([_nanmean(values[members == name]) for name in names])


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN, and NaN where there is nothing else, without a warning."""
    counts = (~np.isnan(values)).sum(axis=0)
    return np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value  # JSON has no NaN


def case_groups(records: Sequence[dict], files: Sequence[str]) -> list[str]:
    """Group of each case, as the datalist gives it; a case without one is a group of its own."""
    known = {first_image(record): str(record.get("group", first_image(record))) for record in records}
    return [known[file] for file in files]
