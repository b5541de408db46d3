"""Classes that can be told without a look at what the images show: by kind of file, size on disk, or texture alone."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, rankdata

from monai_seg.data.duplicates.file_facts import FileFacts

FILE, DISK, TEXTURE = "kind of file", "size on disk", "texture"
_DISK_FACT = "bytes per pixel"
# An area under the ROC curve of 0.5 is chance, of 1 certainty. Where a class shows other things than the rest, some of
# it is told by texture: of the five emotions of 1,905 photographs up to 0.70.
LEAST_AREA = 0.8
_MOST_P = 1e-3
_FEW = 5  # images of a class, below which nothing is said of it
_BINS, _FOLDS, _RESAMPLES = 8, 5, 500
_TELLING = 0.7  # area of a single fact that is named


@dataclass(frozen=True)
class Shortcut:
    """How well a class is told from all others by facts that should not tell it.

    Args:
        class_name: the class.
        told_by: `FILE`, `DISK` or `TEXTURE`.
        area: under the ROC curve, cross-validated.
        ci_low, ci_high: its 95% interval over groups.
        p: of chance giving such an area (Mann-Whitney).
        facts: those that tell most by themselves.
    """

    class_name: str
    told_by: str
    area: float
    ci_low: float
    ci_high: float
    p: float
    facts: tuple[str, ...] = ()

    @property
    def is_found(self) -> bool:
        """Whether even the lower end of the interval is far above chance."""
        return self.ci_low >= LEAST_AREA and self.p <= _MOST_P


def find_shortcuts(
    facts: Sequence[FileFacts], classes: Sequence[str], groups: Sequence[Hashable] | None = None
) -> list[Shortcut]:
    """Try to tell each class from the rest by a naive Bayes classifier on facts about the files.

    Args:
        facts: of each image.
        classes: of each image.
        groups: what must be on one side of the cross-validation, such as a person or the copies of an image; None:
            each image stands alone.

    Returns:
        One for each class with at least five images and five others, and each kind of facts, also where nothing is
        found.
    """
    of_image = np.array(classes)
    names = [name for name in sorted(set(classes)) if _FEW <= int((of_image == name).sum()) <= len(of_image) - _FEW]
    members = list(range(len(classes))) if groups is None else list(groups)
    folds = np.array([_fold(each) for each in members])
    found = []
    for told_by, table in _tables(facts).items():
        coded = {fact: _one_hot(values) for fact, values in table.items()}
        together = np.concatenate(list(coded.values()), axis=1)
        for name in names:
            is_class = of_image == name
            scores = _held_out_scores(together, is_class, folds)
            area, low, high = _area_with_interval(scores, is_class, members)
            p = float(mannwhitneyu(scores[is_class], scores[~is_class], alternative="greater").pvalue)
            alone = {fact: _area(_held_out_scores(each, is_class, folds), is_class) for fact, each in coded.items()}
            telling = sorted((fact for fact in alone if alone[fact] >= _TELLING), key=lambda fact: -alone[fact])
            found.append(Shortcut(name, told_by, area, low, high, p, tuple(telling[:3])))
    return found


def _tables(facts: Sequence[FileFacts]) -> dict[str, dict[str, list[float | str]]]:
    """For each kind of facts the values of all images by fact."""

    def table(rows: Sequence[Mapping[str, float | str]], names: Sequence[str]) -> dict[str, list[float | str]]:
        return {name: [row[name] for row in rows] for name in names}

    if not facts:
        return {}
    of_file = [each.file for each in facts]
    return {
        FILE: table(of_file, [name for name in of_file[0] if name != _DISK_FACT]),
        DISK: table(of_file, [_DISK_FACT]),
        TEXTURE: table([each.texture for each in facts], list(facts[0].texture)),
    }


def _one_hot(values: Sequence[float | str]) -> np.ndarray:
    """Each value as one of a few bins, ``(N, BINS)``: words and few numbers as they are, many numbers by quantile."""
    column = np.array(values)
    known, code, counts = np.unique(column, return_inverse=True, return_counts=True)
    if len(known) > _BINS:
        if column.dtype.kind in "fiu":
            edges = np.quantile(column, np.arange(1, _BINS) / _BINS)
            code = np.searchsorted(edges, column, side="right")
        else:  # the rarest share a bin
            place = np.minimum(np.argsort(np.argsort(-counts, kind="stable"), kind="stable"), _BINS - 1)
            code = place[code]
    return np.eye(_BINS, dtype=np.float32)[code]


def _held_out_scores(one_hot: np.ndarray, is_class: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Log odds of the class for each image by counts of the other folds.

    Both shares are drawn towards that of all images, so that a fact which all images share says nothing.
    """
    scores = np.zeros(len(one_hot))
    for fold in range(_FOLDS):
        trained = folds != fold
        inside, outside = one_hot[trained & is_class].sum(axis=0), one_hot[trained & ~is_class].sum(axis=0)
        images = max(1, int(trained.sum()))
        prior = _BINS * np.maximum(inside + outside, 1e-3) / images
        odds = np.log((inside + prior) / (int((trained & is_class).sum()) + _BINS))
        odds -= np.log((outside + prior) / (int((trained & ~is_class).sum()) + _BINS))
        scores[~trained] = one_hot[~trained] @ odds
    return np.round(scores, 9)  # equal facts are ties, whatever the order of a sum


def _area(scores: np.ndarray, is_class: np.ndarray) -> float:
    count = int(is_class.sum())
    ranks = rankdata(scores)[is_class].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(scores) - count)))


def _area_with_interval(
    scores: np.ndarray, is_class: np.ndarray, groups: Sequence[Hashable]
) -> tuple[float, float, float]:
    """Area and its 95% percentile bootstrap interval; groups are drawn as a whole."""
    place = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    member = np.array([place[each] for each in groups])
    levels, level = np.unique(scores, return_inverse=True)
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(generator.integers(0, len(place), len(place)), minlength=len(place))[member]
        inside = np.bincount(level[is_class], weights[is_class], minlength=len(levels))
        outside = np.bincount(level[~is_class], weights[~is_class], minlength=len(levels))
        total = inside.sum() * outside.sum()
        if total:
            below = np.cumsum(outside) - outside
            areas.append(float((inside * (below + outside / 2)).sum() / total))
    low, high = np.quantile(areas, [0.025, 0.975]) if areas else (0.0, 1.0)
    return _area(scores, is_class), float(low), float(high)


def _fold(group: Hashable) -> int:
    return int.from_bytes(hashlib.sha256(repr(group).encode("utf-8", "surrogateescape")).digest()[:4], "big") % _FOLDS
