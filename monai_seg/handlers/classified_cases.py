"""The cases of a classifier in one place: names, persons, truth and probabilities, and the tables made of them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_seg.data.layouts.files import folders_apart, relative, stem
from monai_seg.handlers.case_table import MEAN
from monai_seg.metrics.classification import (
    PER_CLASS,
    WHOLE,
    classification_measures,
    confusion_matrices,
    reliability,
)

_RESAMPLES, _AT_ONCE = 1000, 100


@dataclass(frozen=True)
class ClassifiedCases:
    """What a classifier says of N cases, sorted by file.

    Args:
        class_names: index 0 first.
        files: path of the image of each case.
        persons: what is resampled as a whole, such as the person or the patient of each case.
        reference: index of the true class, ``(N,)``.
        probabilities: of each class, ``(N, K)``.
    """

    class_names: tuple[str, ...]
    files: tuple[str, ...]
    persons: tuple[str, ...]
    reference: torch.Tensor
    probabilities: torch.Tensor

    @property
    def prediction(self) -> torch.Tensor:
        """Index of the most probable class of each case."""
        return self.probabilities.argmax(1)

    @property
    def missing_classes(self) -> list[str]:
        """Classes of which there is no case, so that nothing can be said of them."""
        present = set(self.reference.tolist())
        return [name for index, name in enumerate(self.class_names) if index not in present]

    def confusion(self) -> np.ndarray:
        """Cases by reference (rows) and prediction (columns), ``(K, K)``."""
        counts = confusion_matrices(self.prediction, self.reference, len(self.class_names))[0]
        return counts.cpu().numpy().astype(int)

    def measures(self) -> dict[str, torch.Tensor]:
        """All measures of the cases as they are, ``(1,)`` or ``(1, K)``; see `classification_measures`."""
        return classification_measures(self.probabilities, self.reference)

    def per_case_csv(self, root: Path) -> str:
        """Text of ``per_case.csv``: one row for each case, ``class`` being its true one.

        Args:
            root: folder that files are named relative to.
        """
        apart = folders_apart(self.files)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = [f"probability_{name}" for name in self.class_names]
        writer.writerow(["case", "class", "file", "person", "reference", "prediction", *columns])
        truth, said = self.reference.tolist(), self.prediction.tolist()
        for row, file in enumerate(self.files):
            names = [self.class_names[truth[row]], self.class_names[said[row]]]
            case = Path(apart[file], stem(file)).as_posix()
            shares = [f"{share:.6f}" for share in self.probabilities[row].tolist()]
            writer.writerow([case, names[0], relative(file, root), self.persons[row], *names, *shares])
        return text.getvalue()

    def summary(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """Each measure with its 95% interval over resampled persons.

        ``n`` counts the cases that a value rests on: those of the class, or all. ``n_empty`` counts undefined values:
        for the average over classes those that were left out of it.
        """
        whole, drawn = self.measures(), self._resampled()
        support = torch.bincount(self.reference.long(), minlength=len(self.class_names)).tolist()
        groups = len(set(self.persons))
        summary: dict[str, dict] = {
            name: {MEAN: _entry(whole[name], drawn[name], len(self.files), groups)} for name in WHOLE
        }
        for name in PER_CLASS:
            entries = {
                class_name: _entry(whole[name][:, index], drawn[name][:, index], support[index], groups)
                for index, class_name in enumerate(self.class_names)
            }
            mean = _entry(whole[name].nanmean(1), drawn[name].nanmean(1), len(self.files), groups)
            undefined = int(torch.isnan(whole[name]).sum())
            summary[name] = entries | {MEAN: mean | {"n_empty": undefined}}
        return summary

    def results(self) -> dict[str, Any]:
        """What ``test_results.json`` tells beside the measures: counts, confusion and reliability."""
        counts = self.confusion()
        bins = reliability(self.probabilities, self.reference)
        with np.errstate(invalid="ignore"):
            shares = counts / counts.sum(axis=1, keepdims=True)
        return {
            "cases": len(self.files),
            "persons": len(set(self.persons)),
            "class_names": list(self.class_names),
            "cases_of_class": dict(zip(self.class_names, counts.sum(axis=1).tolist(), strict=True)),
            "missing_classes": self.missing_classes,
            "measures": {name: _named(value[0], self.class_names) for name, value in self.measures().items()},
            "confusion_matrix": counts.tolist(),
            "confusion_matrix_of_rows": [[_number(value) for value in row] for row in shares.tolist()],
            "reliability": {
                name: [_number(value) for value in getattr(bins, name).tolist()]
                for name in ("count", "confidence", "accuracy")
            },
        }

    def _resampled(self) -> dict[str, torch.Tensor]:
        """All measures of `_RESAMPLES` draws of whole persons with replacement."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.persons))}
        member = np.array([numbers[person] for person in self.persons])
        rng = np.random.default_rng(0)
        parts = []
        for _ in range(0, _RESAMPLES, _AT_ONCE):  # in parts, as the curves hold a number for each draw and case
            draws = rng.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=_AT_ONCE)
            weights = torch.from_numpy(draws[:, member].astype(float))
            parts.append(classification_measures(self.probabilities, self.reference, weights))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _entry(whole: torch.Tensor, drawn: torch.Tensor, n: int, groups: int) -> dict[str, float | int | None]:
    value, spread = float(whole[0]), drawn[~torch.isnan(drawn)].cpu().numpy()
    is_known = groups > 1 and len(spread) > 0 and not math.isnan(value)
    low, high = np.quantile(spread, [0.025, 0.975]).tolist() if is_known else (None, None)
    undefined = int(math.isnan(value))
    return {
        "mean": _number(value), "ci_low": low, "ci_high": high, "n": n, "n_empty": undefined, "n_groups": groups,
    }  # fmt: skip


def _named(value: torch.Tensor, class_names: Sequence[str]) -> float | dict[str, float | None] | None:
    if value.ndim == 0:
        return _number(float(value))
    return {name: _number(each) for name, each in zip(class_names, value.tolist(), strict=True)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value  # JSON has no NaN
