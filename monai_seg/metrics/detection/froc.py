"""FROC: how many objects are found at the price of how many false ones, as detection of lesions is reported."""

from __future__ import annotations

import numpy as np

from monai_seg.metrics.detection.matching import Matches

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def free_response(matches: Matches, iou: float = 0.5, weights: np.ndarray | None = None) -> np.ndarray:
    """Sensitivity at given numbers of false objects per image; their mean is the score of LUNA16.

    At each rate the score threshold is the lowest with no more false objects than that: nothing is interpolated.

    Args:
        matches: of one class.
        iou: overlap from which an object is found; one of the thresholds of the matches.
        weights: how often each image counts in each resample, see `average_precision`.

    Shape:
        weights ``(R, I)``. Gives the sensitivity at each of `FROC_RATES`, ``(R, 7)`` or ``(7,)``, NaN where there is no
        annotated object.

    Source:
        Bunch et al. 1977; the rates are those of LUNA16, arXiv:1612.08012.
    """
    rows = np.ones((1, len(matches.references))) if weights is None else np.asarray(weights, dtype=float)
    result = np.full((len(rows), len(FROC_RATES)), np.nan)
    at = matches.at(iou)
    last_of_score = np.append(matches.scores[1:] != matches.scores[:-1], True)[: len(matches.scores)]
    for number, row in enumerate(rows):
        total, images = row @ matches.references, row.sum()
        if not total:
            continue
        counts = row[matches.image]
        wrong = np.cumsum(matches.wrong[at] * counts)[last_of_score] / images
        found = np.cumsum(matches.right[at] * counts)[last_of_score] / total
        place = np.searchsorted(wrong, FROC_RATES, side="right") - 1
        result[number] = np.where(place >= 0, found[np.maximum(place, 0)] if len(found) else 0.0, 0.0)
    return result[0] if weights is None else result
