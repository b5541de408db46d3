"""Detectors judged: average precision, FROC and counts of objects, in tables with intervals over patients."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.utils.enums import CommonKeys as Keys

from monai_seg.data.atomic import write_text_atomic
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.engines.detection import score_threshold_of
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.case_table import MEAN, case_groups, per_case_csv, summarise, summary_text
from monai_seg.metrics.detection import (
    ImageObjects,
    Matches,
    average_precision,
    average_recall,
    best_score_threshold,
    free_response,
    image_objects,
    image_table,
    match_objects,
    object_table,
)
from monai_seg.metrics.detection.matching import COCO_THRESHOLDS
from monai_seg.metrics.detection.operating_point import IMAGE_COLUMNS

_RESAMPLES = 1000
_OBJECT_COLUMNS = ("case", "class", "kind", "score", "reference", "iou")
logger = logging.getLogger(__name__)


class ObjectEvaluation:
    """Collect the objects of an evaluation from all ranks, judge them at its end, and write the tables.

    In ``engine.state.metrics``: ``ap`` (of masks, or of boxes where there are none), ``ap50``, ``ap75``, ``ap_small``,
    ``ap_medium``, ``ap_large``, ``ar``, ``box_ap``, ``box_ap50``, ``froc``, and at the score threshold ``dice``,
    ``f1``; each the average over classes, and of each class as ``ap_tumor``.

    Without a run folder, as in training, the score threshold with the best F1 is chosen and kept in the network's
    ``score_threshold``, beside its weights; with one, the kept threshold is used.

    Args:
        class_names: index 0 first.
        run_folder: its ``results`` take ``per_case.csv``, ``objects.csv`` and ``summary.json``.
        thresholds: overlaps over which ``ap`` is averaged; COCO's 0.5 to 0.95 by default. 0.1 to 0.5 are usual for
            lesions in volumes. Those at 0.5 and 0.75 are reported on their own in any case.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        run_folder: RunFolder | None = None,
        thresholds: Sequence[float] = COCO_THRESHOLDS,
    ) -> None:
        self.class_names, self.run_folder = list(class_names), run_folder
        self.thresholds = tuple(thresholds)
        self._images: list[ImageObjects] = []

    def attach(self, engine: Any) -> None:
        """Attach to a `DetectionEvaluator`."""
        engine.metric_names = ["ap", "ap50", "box_ap50", "froc", "dice", "f1"]
        engine.add_event_handler(Events.EPOCH_STARTED, self._images.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._judge)

    def _collect(self, engine: Any) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            self._images.append(image_objects(case_files([sample])[0], output[Keys.PRED], sample))

    def _judge(self, engine: Any) -> None:
        gathered = [image for part in from_all_ranks(self._images) for image in part]
        # A sampler that pads its ranks to one length gives some images twice; each counts once.
        images = [each for _, each in sorted({image.name: image for image in gathered}.items())]
        kept = score_threshold_of(engine.network)
        judged = [ClassJudgement.of(images, label, self.thresholds) for label in range(len(self.class_names))]
        if self.run_folder is None:
            kept.fill_(best_score_threshold([each.matches for each in judged]))
        threshold = float(kept)
        groups = case_groups(engine.data_loader.dataset.data, [image.name for image in images])
        tables = [image_table(images, each.matches, label, threshold) for label, each in enumerate(judged)]
        self._set_metrics(engine, judged, tables, groups)
        if self.run_folder is not None and rank() == 0:
            self._write(self.run_folder, images, judged, tables, groups, threshold)

    def _set_metrics(
        self, engine: Any, judged: Sequence[ClassJudgement], tables: Sequence[np.ndarray], groups: Sequence[str]
    ) -> None:
        values = [each.scores() | _at_threshold(table, None) for each, table in zip(judged, tables, strict=True)]
        for name in values[0]:
            of_class = [float(each[name][0]) for each in values]
            defined = [value for value in of_class if not math.isnan(value)]
            engine.state.metrics[name] = float(np.mean(defined)) if defined else math.nan
            for class_name, value in zip(self.class_names, of_class, strict=True):
                engine.state.metrics[f"{name}_{class_name}"] = value

    def _write(
        self,
        run_folder: RunFolder,
        images: Sequence[ImageObjects],
        judged: Sequence[ClassJudgement],
        tables: Sequence[np.ndarray],
        groups: Sequence[str],
        threshold: float,
    ) -> None:
        names = [image.name for image in images]
        apart = folders_apart(names)
        cases = {name: Path(apart[name], stem(name)).as_posix() for name in names}
        columns = {name: np.stack([t[:, i] for t in tables], axis=1) for i, name in enumerate(IMAGE_COLUMNS)}
        folder = run_folder.results
        write_text_atomic(folder / "per_case.csv", per_case_csv(list(cases.values()), self.class_names, columns))
        rows = [
            row | {"case": cases[str(row["case"])], "class": class_name}
            for class_name, each in zip(self.class_names, judged, strict=True)
            for row in object_table(images, each.matches, threshold)
        ]
        write_text_atomic(folder / "objects.csv", _objects_csv(rows))
        summary = self._summary(judged, tables, groups)
        averaged = {name: columns[name] for name in ("dice", "iou", "matched_iou")}
        summary |= summarise(self.class_names, averaged, groups)
        write_text_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        logger.info("%s", summary_text(summary))
        logger.info("objects from a score of %.3f on, as chosen on the validation section", threshold)
        logger.info("tables: %s", folder)

    def _summary(
        self, judged: Sequence[ClassJudgement], tables: Sequence[np.ndarray], groups: Sequence[str]
    ) -> dict[str, dict[str, dict]]:
        """Each measure of the whole data set with its 95% interval over resampled groups."""
        weights = resampled_weights(groups)
        whole = [each.scores() | _at_threshold(table, None) for each, table in zip(judged, tables, strict=True)]
        drawn = [
            each.scores(weights) | _at_threshold(table, weights) for each, table in zip(judged, tables, strict=True)
        ]
        counted = [int(each.matches.references.astype(bool).sum()) for each in judged]
        total = len(groups)
        summary: dict[str, dict[str, dict]] = {}
        for name in whole[0]:
            if name == "dice":  # of each image, and averaged like any metric of cases
                continue
            values = np.array([each[name][0] for each in whole])
            spread = np.stack([each[name] for each in drawn], axis=1)
            entries = {
                class_name: _entry(values[[label]], spread[:, [label]], counted[label], total, len(set(groups)))
                for label, class_name in enumerate(self.class_names)
            }
            entries[MEAN] = _entry(values, spread, max(counted), total, len(set(groups)))
            summary[name] = entries
        return summary


@dataclass(frozen=True)
class ClassJudgement:
    """The matches of a class: of masks where there are any, of boxes, and of masks of each size.

    Args:
        matches: by which objects are counted.
        boxes: the same objects by their boxes.
        by_size: of small, medium and large objects alone.
        averaged: how many of the thresholds, from the first on, ``ap`` averages over.
    """

    matches: Matches
    boxes: Matches
    by_size: dict[str, Matches]
    averaged: int

    @classmethod
    def of(cls, images: Sequence[ImageObjects], label: int, thresholds: Sequence[float]) -> ClassJudgement:
        """Match the objects of a class in every way that is reported."""
        kind = "mask" if all(image.has_masks for image in images) else "box"
        all_thresholds = [*thresholds, *(each for each in (0.5, 0.75) if each not in thresholds)]

        def matched(way: Any, size: str = "all") -> Matches:
            return match_objects(images, label, way, all_thresholds, size)

        by_size = {size: matched(kind, size) for size in ("small", "medium", "large")}
        return cls(matched(kind), matched("box"), by_size, len(thresholds))

    def scores(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """All measures that need no score threshold, ``(R,)``; one value without weights."""
        rows = np.ones((1, len(self.matches.references))) if weights is None else weights
        precision, of_boxes = average_precision(self.matches, rows), average_precision(self.boxes, rows)
        half, most = self.matches.at(0.5), self.matches.at(0.75)
        averaged = slice(self.averaged)
        return {
            "ap": precision[:, averaged].mean(axis=1),
            "ap50": precision[:, half],
            "ap75": precision[:, most],
            **{
                f"ap_{size}": average_precision(each, rows)[:, averaged].mean(axis=1)
                for size, each in self.by_size.items()
            },
            "ar": average_recall(self.matches, 100, rows)[:, averaged].mean(axis=1),
            "box_ap": of_boxes[:, averaged].mean(axis=1),
            "box_ap50": of_boxes[:, half],
            "froc": free_response(self.matches, 0.5, rows).mean(axis=1),
        }


def resampled_weights(groups: Sequence[str], resamples: int = _RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each image counts when whole groups, such as patients, are drawn with replacement: ``(R, I)``."""
    names = list(dict.fromkeys(groups))
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, [names.index(group) for group in groups]].astype(float)


def _at_threshold(table: np.ndarray, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Measures of what is reported, from `image_table`."""
    rows = np.ones((1, len(table))) if weights is None else weights
    counts = {name: np.nan_to_num(table[:, place]) for place, name in enumerate(IMAGE_COLUMNS)}
    right, missed, false = (rows @ counts[name] for name in ("matched", "missed", "false"))
    defined = ~np.isnan(table[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": right / (right + false),
            "recall": right / (right + missed),
            "f1": 2 * right / (2 * right + missed + false),
            "false_per_image": false / rows.sum(axis=1),
            "dice": (rows @ counts["dice"]) / (rows @ defined),
        }


def _entry(values: np.ndarray, spread: np.ndarray, n: int, total: int, groups: int) -> dict[str, float | int | None]:
    """An entry of ``summary.json``: the measure of one class, or the average of several."""
    defined = values[~np.isnan(values)]
    means = np.array([row[~np.isnan(row)].mean() for row in spread if not np.isnan(row).all()])
    low, high = np.quantile(means, [0.025, 0.975]) if groups > 1 and len(means) else (math.nan, math.nan)
    return {
        "mean": float(defined.mean()) if len(defined) else None,
        "ci_low": None if math.isnan(low) else float(low),
        "ci_high": None if math.isnan(high) else float(high),
        "n": n,
        "n_empty": total - n,
        "n_groups": groups,
    }


def _objects_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_OBJECT_COLUMNS)
    for row in rows:
        values = [row[name] for name in _OBJECT_COLUMNS]
        writer.writerow(["" if v is None else f"{v:.6f}" if isinstance(v, float) else v for v in values])
    return text.getvalue()
