"""Classifiers judged: every measure with its interval over persons, calibrated, in tables and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.utils.enums import CommonKeys as Keys

from monai_seg.data.atomic import write_text_atomic
from monai_seg.engines.classification import temperature_of
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.case_table import case_groups, summary_text
from monai_seg.handlers.classification_figures import write_figures
from monai_seg.handlers.classified_cases import ClassifiedCases
from monai_seg.metrics.classification import PER_CLASS, WHOLE, fit_temperature

logger = logging.getLogger(__name__)
_WATCHED = ("loss", "balanced_accuracy", "accuracy", "f1", "roc_auc", "ece")


class ClassificationEvaluation:
    """Collect the scores of an evaluation from all ranks, judge them at its end, and write tables and pictures.

    In ``engine.state.metrics``: each measure of `monai_seg.metrics.classification`, those of classes as their mean and
    as ``recall_fear``; and ``loss``, the cross-entropy, of which ``log_likelihood`` is the negative.

    Without a run folder, as in training, the scores are judged as they are, and the temperature that calibrates them
    best is kept in the network's ``temperature``, beside its weights. With one, they are judged calibrated.

    Args:
        class_names: index 0 first.
        run_folder: its ``results`` take ``per_case.csv``, ``summary.json`` and ``test_results.json``, its ``figures``
            confusion matrices, curves, reliability and the most confident mistakes.
        key_metric: by which the best model is chosen, larger is better.

    Attributes:
        cases: the last evaluation; None before it.

    Raises:
        ValueError: there is no such metric.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        run_folder: RunFolder | None = None,
        key_metric: str = "balanced_accuracy",
    ) -> None:
        known = [*WHOLE, *PER_CLASS]
        if key_metric not in known:
            raise ValueError(f"key_metric is {key_metric!r}; give one of {', '.join(known)}")
        self.class_names, self.run_folder, self.key_metric = tuple(class_names), run_folder, key_metric
        self.cases: ClassifiedCases | None = None
        self._found: dict[str, tuple[int, list[float]]] = {}

    def attach(self, engine: Any) -> None:
        """Attach to an `Evaluator` whose predictions are scores ``(K,)`` of each case."""
        engine.metric_names = list(_WATCHED)
        engine.state.key_metric_name = self.key_metric
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._judge)

    def _begin(self) -> None:
        self._found.clear()

    def _collect(self, engine: Any) -> None:
        outputs = engine.state.output
        scores = torch.stack([torch.as_tensor(output[Keys.PRED]) for output in outputs]).double()
        for sample, output, row in zip(engine.state.batch, outputs, scores.tolist(), strict=True):
            self._found[case_files([sample])[0]] = (int(output[Keys.LABEL]), row)

    def _judge(self, engine: Any) -> None:
        # A sampler that pads its ranks to one length gives some cases twice; each counts once.
        found = {file: each for part in from_all_ranks(self._found) for file, each in part.items()}
        files = sorted(found)
        device = _exact_device(engine.state.device)
        reference = torch.tensor([found[file][0] for file in files], device=device)
        scores = torch.tensor([found[file][1] for file in files], dtype=torch.float64, device=device)
        kept = temperature_of(engine.network)
        before = float(kept)
        if self.run_folder is None:
            scores = scores * before
            kept.fill_(fit_temperature(scores, reference))
        groups = tuple(case_groups(engine.data_loader.dataset.data, files))
        self.cases = ClassifiedCases(self.class_names, tuple(files), groups, reference, scores.softmax(1))
        self._set_metrics(engine)
        if self.run_folder is not None and rank() == 0:
            uncalibrated = ClassifiedCases(
                self.class_names, tuple(files), groups, reference, (scores * before).softmax(1)
            )
            self._write(self.run_folder, self.cases, uncalibrated, before)

    def _set_metrics(self, engine: Any) -> None:
        if self.cases is None:
            return
        for name, value in self.cases.measures().items():
            if value.ndim == 1:
                engine.state.metrics[name] = float(value[0])
                continue
            engine.state.metrics[name] = float(value.nanmean(1)[0])
            for class_name, each in zip(self.class_names, value[0].tolist(), strict=True):
                engine.state.metrics[f"{name}_{class_name}"] = each
        engine.state.metrics["loss"] = -engine.state.metrics["log_likelihood"]

    def _write(
        self, run_folder: RunFolder, cases: ClassifiedCases, uncalibrated: ClassifiedCases, temperature: float
    ) -> None:
        folder, data = run_folder.results, Path(run_folder.dataset_dir).resolve()
        write_text_atomic(folder / "per_case.csv", cases.per_case_csv(data if data.is_dir() else data.parent))
        summary = cases.summary()
        write_text_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        before = uncalibrated.measures()
        results = cases.results() | {
            "temperature": temperature,
            "uncalibrated": {name: float(before[name][0]) for name in ("ece", "log_likelihood", "brier")},
        }
        write_text_atomic(folder / "test_results.json", json.dumps(results, indent=2) + "\n")
        write_figures(run_folder.figures, cases)
        logger.info("%s", summary_text(summary))
        if cases.missing_classes:
            logger.warning("no case of %s: nothing is said of it", ", ".join(cases.missing_classes))
        logger.info("probabilities at a temperature of %.3f, as fitted on the validation section", temperature)
        logger.info("tables: %s", folder)


def _exact_device(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device  # which has no double precision
