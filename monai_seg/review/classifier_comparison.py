"""Two classifiers on the same cases: which one is better, by how much, and whether that is more than chance."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from monai_seg.metrics.classification import confusion_matrices, confusion_measures

_RESAMPLES = 2000
_MEASURES = ("accuracy", "balanced_accuracy", "f1")


class ComparisonError(ValueError):
    """Two tables that are not of the same cases, or none of a classifier."""


@dataclass(frozen=True)
class Difference:
    """One measure of two classifiers.

    Attributes:
        first, second: their values.
        ci_low, ci_high: 95% interval of second minus first, over persons drawn with replacement, the same for both.
        p: share of 2000 random exchanges, person by person, of the two classifiers' answers that give as large a
            difference, in either direction: how often one that is no better would seem so.
    """

    first: float
    second: float
    ci_low: float
    ci_high: float
    p: float

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class ClassifierComparison:
    """What two classifiers make of the same cases.

    Attributes:
        cases, persons: how many.
        only_first, only_second: cases that one of them alone has right.
        mcnemar_p: McNemar's exact test of these two numbers. It takes each case for one of its own; where persons have
            several, the permutation by person in `differences` is the one to go by.
        differences: by measure: ``accuracy``, ``balanced_accuracy``, ``f1`` (mean over classes).
    """

    cases: int
    persons: int
    only_first: int
    only_second: int
    mcnemar_p: float
    differences: dict[str, Difference]

    def __str__(self) -> str:
        width = max(map(len, self.differences))
        lines = [f"{self.cases} cases of {self.persons} persons"]
        for name, each in self.differences.items():
            values = f"{each.first:.4f}  {each.second:.4f}  {each.difference:+.4f}"
            lines.append(f"{name:<{width}}  {values} [{each.ci_low:+.4f}, {each.ci_high:+.4f}]  p={each.p:.3f}")
        lines.append(
            f"right in one alone: {self.only_first} and {self.only_second}, McNemar's exact test p={self.mcnemar_p:.3f}"
        )
        return "\n".join(lines)


def compare_classifiers(
    first: str | os.PathLike[str], second: str | os.PathLike[str], seed: int = 0
) -> ClassifierComparison:
    """Compare two evaluated runs.

    Args:
        first, second: folders of runs, of their results (``metrics``, ``external/NAME``), or ``per_case.csv`` files.
        seed: of the draws.

    Raises:
        ComparisonError: a table is missing or not of a classifier, or they are not of the same cases.

    Source:
        McNemar 1947, doi:10.1007/BF02295996; the bootstrap and the permutation draw persons as a whole.
    """
    one, two = (_read(Path(place)) for place in (first, second))
    if one.keys() != two.keys():
        only = sorted(set(one) ^ set(two))
        raise ComparisonError(
            f"{first} and {second} are not of the same cases: {len(only)} are in one alone, such as {only[0]}\n"
            "  mend   evaluate both runs on the same section (same seed, fold, group_by and shares)"
        )
    files = sorted(one)
    changed = [file for file in files if one[file]["reference"] != two[file]["reference"]]
    if changed:
        raise ComparisonError(
            f"{len(changed)} cases have another true class in the two tables, such as {changed[0]}\n"
            "  mend   evaluate both runs on the same state of the data"
        )
    names = sorted({table[file][key] for table in (one, two) for file in files for key in ("reference", "prediction")})
    reference, said_first, said_second = (
        torch.tensor([names.index(table[file][key]) for file in files])
        for table, key in ((one, "reference"), (one, "prediction"), (two, "prediction"))
    )
    persons = [one[file]["person"] for file in files]
    right = said_first == reference, said_second == reference
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    differences = _differences((said_first, said_second), reference, len(names), persons, seed)
    return ClassifierComparison(len(files), len(set(persons)), *alone, _mcnemar(*alone), differences)


def _read(place: Path) -> dict[str, dict[str, str]]:
    candidates = [place, place / "per_case.csv", place / "metrics" / "per_case.csv"]
    table = next((path for path in candidates if path.is_file()), None)
    if table is None:
        raise ComparisonError(f"{place} holds no per_case.csv\n  mend   evaluate the run first")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = {"file", "person", "reference", "prediction"}
    if not rows or not needed <= rows[0].keys():
        raise ComparisonError(f"{table} is no table of a classifier: it lacks {', '.join(sorted(needed))}")
    return {row["file"]: row for row in rows}


def _mcnemar(only_first: int, only_second: int) -> float:
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total).pvalue) if total else 1.0


def _differences(
    said: tuple[torch.Tensor, torch.Tensor], reference: torch.Tensor, classes: int, persons: Sequence[str], seed: int
) -> dict[str, Difference]:
    rng = np.random.default_rng(seed)
    numbers = {person: number for number, person in enumerate(dict.fromkeys(persons))}
    member = np.array([numbers[person] for person in persons])
    count = len(numbers)
    drawn = torch.from_numpy(rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)[:, member])
    kept = torch.from_numpy(rng.integers(0, 2, (_RESAMPLES, count))[:, member])

    def measured(matrices: torch.Tensor) -> dict[str, np.ndarray]:
        found = confusion_measures(matrices)
        values = {name: getattr(found, name) for name in _MEASURES}
        values["f1"] = values["f1"].nanmean(1)
        return {name: value.numpy() for name, value in values.items()}

    def counts(which: int, weights: torch.Tensor | None = None) -> torch.Tensor:
        return confusion_matrices(said[which], reference, classes, weights)

    whole = [measured(counts(which)) for which in (0, 1)]
    resampled = [measured(counts(which, drawn)) for which in (0, 1)]
    exchanged = [measured(counts(which, kept) + counts(1 - which, 1 - kept)) for which in (0, 1)]
    found = {}
    for name in _MEASURES:
        spread = resampled[1][name] - resampled[0][name]
        low, high = np.quantile(spread[~np.isnan(spread)], [0.025, 0.975]) if count > 1 else (np.nan, np.nan)
        observed = abs(whole[1][name][0] - whole[0][name][0])
        as_large = np.abs(exchanged[1][name] - exchanged[0][name]) >= observed - 1e-12
        p = (1 + int(as_large.sum())) / (1 + _RESAMPLES)
        found[name] = Difference(float(whole[0][name][0]), float(whole[1][name][0]), float(low), float(high), p)
    return found
