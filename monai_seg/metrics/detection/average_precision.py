"""Average precision and recall from matches, for one data set or for many resamples of it at once."""

from __future__ import annotations

import numpy as np

from monai_seg.metrics.detection.matching import Matches

_RECALLS = np.linspace(0.0, 1.0, 101)


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the curve of precision over recall, as COCO takes it: at 101 recalls, the best precision beyond each.

    Args:
        matches: of one class.
        weights: how often each image counts in each resample; one data set, each image once, where None.

    Shape:
        weights ``(R, I)``. Gives ``(R, T)``, NaN in resamples without any annotated object, or ``(T,)``.

    Source:
        Equal to ``COCOeval.accumulate``, also on explicit copies of images.
    """
    rows = np.ones((1, len(matches.references))) if weights is None else np.asarray(weights, dtype=float)
    result = np.full((len(rows), len(matches.thresholds)), np.nan)
    totals = rows @ matches.references
    for number in np.flatnonzero(totals > 0):
        counts = rows[number][matches.image]
        result[number] = _precision_at_recalls(matches, counts, totals[number]).mean(axis=1)
    return result[0] if weights is None else result


def _precision_at_recalls(matches: Matches, counts: np.ndarray, total: float) -> np.ndarray:
    """Precision ``(T, 101)``. An image that counts twice has each of its objects twice, one after the other."""
    right = np.cumsum(matches.right * counts, axis=1)
    wrong = np.cumsum(matches.wrong * counts, axis=1)
    recall, precision = right / total, right / (right + wrong + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.zeros((len(recall), len(_RECALLS)))
    for row, (reached, values) in enumerate(zip(recall, best, strict=True)):
        place = np.searchsorted(reached, _RECALLS, side="left")
        inside = place < len(values)
        found[row, inside] = values[place[inside]]
    return found


def average_recall(matches: Matches, most: int = 100, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of the annotated objects that are found with at most so many detections per image.

    Args:
        matches: of one class.
        most: detections of an image that count, the best ones.
        weights: as in `average_precision`.

    Shape:
        as in `average_precision`.
    """
    rows = np.ones((1, len(matches.references))) if weights is None else np.asarray(weights, dtype=float)
    counted = matches.right & (matches.order < most)
    totals = rows @ matches.references
    with np.errstate(invalid="ignore", divide="ignore"):
        result = (rows[:, matches.image] @ counted.T) / totals[:, None]
    return result[0] if weights is None else result
