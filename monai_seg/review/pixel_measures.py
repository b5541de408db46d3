"""Precision, recall and their like over a whole scene, each with an interval from resampled blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_confusion_matrix_metric

from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.review.block_counts import FN, FP, TN, TP

# Our names and MONAI's; F1 and Dice of pixels are one number under two names.
MEASURES = {
    "precision": "precision",
    "recall": "sensitivity",
    "specificity": "specificity",
    "f1": "f1 score",
    "dice": "f1 score",
    "iou": "threat score",
    "accuracy": "accuracy",
}
RESAMPLES = 2000


@dataclass(frozen=True)
class Measure:
    """A value and its 95% interval; NaN where undefined."""

    value: float
    ci_low: float
    ci_high: float


def measures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of pixel counts, by the project's policy for empty masks.

    Shape:
        counts ``(N, 4)``, pixels in the order of `STATES`. Gives ``(N,)`` for each measure, float64; NaN: undefined.
    """
    confusion = torch.from_numpy(np.ascontiguousarray(counts[:, [TP, FP, TN, FN]], dtype=np.float64))
    true_positive, false_positive, true_negative, false_negative = confusion.unbind(-1)
    predicted, referred = true_positive + false_positive, true_positive + false_negative
    left_out, absent = true_negative + false_negative, true_negative + false_positive
    values = {}
    for name, official in MEASURES.items():
        value = compute_confusion_matrix_metric(official, confusion)
        if name == "specificity":
            value = apply_empty_policy(value, left_out == 0, absent == 0)
        elif name != "accuracy":
            value = apply_empty_policy(value, predicted == 0, referred == 0)
        values[name] = value.numpy()
    return values


def scene_measures(counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Measure]:
    """Measures of a scene; pixels of all blocks are summed before they are divided.

    The interval is a percentile bootstrap over blocks. It takes them for independent; neighbours are alike, so that it
    is too narrow, the more so the smaller the blocks are.

    Args:
        counts: of the blocks, see `BlockCounts.counts`.
        resamples: number of draws.
        seed: of the draws.

    Shape:
        counts ``(R, C, 4)`` or ``(N, 4)``.

    Returns:
        By name; the interval is NaN where the value is, or where there are fewer than two blocks.
    """
    blocks = counts.reshape(-1, counts.shape[-1])
    values = measures(blocks.sum(axis=0, keepdims=True))
    drawn = measures(resampled_sums(blocks, resamples, seed))
    return {name: Measure(float(values[name][0]), *interval(drawn[name], len(blocks))) for name in values}


def resampled_sums(table: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Column sums of as many rows as there are, drawn with replacement.

    Shape:
        table ``(N, K)``. Gives ``(resamples, K)``, float64.
    """
    generator, rows = np.random.default_rng(seed), table.astype(np.float64)
    sums = np.empty((resamples, table.shape[1]))
    # One draw at a time: all of them for a scene of 100,000 blocks would take a gigabyte.
    for draw in range(resamples):
        weights = np.bincount(generator.integers(len(rows), size=len(rows)), minlength=len(rows))
        sums[draw] = weights @ rows
    return sums


def interval(drawn: np.ndarray, blocks: int) -> tuple[float, float]:
    """The middle 95% of resampled values, of those that are defined; NaN where there are fewer than two blocks."""
    defined = drawn[~np.isnan(drawn)]
    if blocks < 2 or not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)
