"""Every measure of a classifier by its name, for the cases as they are or for many resamples of them."""

from __future__ import annotations

import torch

from monai_seg.metrics.classification.calibration import brier_score, calibration_error
from monai_seg.metrics.classification.confusion import (
    confusion_matrices,
    confusion_measures,
    rows_of,
    top_accuracy,
)
from monai_seg.metrics.classification.ranking import average_precision, roc_auc

PER_CLASS = ("precision", "recall", "specificity", "f1", "roc_auc", "average_precision")
WHOLE = (
    "accuracy",
    "balanced_accuracy",
    "kappa",
    "top2_accuracy",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "log_likelihood",
    "brier",
    "ece",
)


def classification_measures(
    probabilities: torch.Tensor, reference: torch.Tensor, weights: torch.Tensor | None = None, bins: int = 15
) -> dict[str, torch.Tensor]:
    """All measures of R weightings of N cases.

    Args:
        probabilities: of each case and class, as they are judged: calibrated where the network is.
        reference: index of the true class of each case.
        weights: how often each case counts, ``(R, N)``; None counts each once.
        bins: of the calibration error ``ece``.

    Shape:
        probabilities ``(N, K)``, reference ``(N,)``.

    Returns:
        Those of `WHOLE` as ``(R,)``, those of `PER_CLASS` as ``(R, K)``, float64; NaN where undefined, as the area
        below the curve of a class that does not occur. ``log_likelihood`` is the mean logarithm of the true class's
        probability, the negative cross-entropy.

    Raises:
        ValueError: the shapes do not fit, or a class index is out of range.
    """
    if probabilities.ndim != 2 or len(probabilities) != len(reference):
        shapes = f"{tuple(probabilities.shape)} and {tuple(reference.shape)}"
        raise ValueError(f"probabilities and reference are {shapes}; give (N, K) and (N,)")
    exact, classes = probabilities.double(), probabilities.shape[1]
    counts = confusion_measures(confusion_matrices(exact.argmax(1), reference, classes, weights))
    found = {name: getattr(counts, name) for name in ("accuracy", "balanced_accuracy", "kappa")}
    found["top2_accuracy"] = top_accuracy(exact, reference, 2, weights)
    found |= {f"{name}_weighted": counts.weighted(name) for name in ("precision", "recall", "f1")}
    own = exact.gather(1, reference.long()[:, None])[:, 0].clamp(min=torch.finfo(torch.float64).tiny).log()
    rows = rows_of(weights, own)
    found["log_likelihood"] = rows @ own / rows.sum(1)
    found["brier"] = brier_score(exact, reference, weights)
    found["ece"] = calibration_error(exact, reference, bins, weights)
    found |= {name: getattr(counts, name) for name in ("precision", "recall", "specificity", "f1")}
    for name, area in (("roc_auc", roc_auc), ("average_precision", average_precision)):
        columns = [area(exact[:, index], reference == index, weights) for index in range(classes)]
        found[name] = torch.stack(columns, 1)
    return found
