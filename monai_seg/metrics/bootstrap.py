"""Confidence intervals by resampling whole cases, or whole patients where cases belong together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def bootstrap_interval(
    values: np.ndarray,
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean of column means.

    Args:
        values: one row per case, one column per class; NaN where undefined. One column gives the interval of its mean,
            several that of the average over classes.
        groups: what is drawn as a whole, such as the patient of each case; each case by itself if None.
        confidence: share of the resampled means inside the interval.
        resamples: number of draws.
        seed: of the draws, so that a table can be made again.

    Shape:
        values ``(N, C)`` or ``(N,)``, float.

    Raises:
        ValueError: not each row has a group.

    Returns:
        Lower and upper end; NaN where fewer than two groups have a value, since one says nothing of its spread.

    Source:
        Efron and Tibshirani 1993, chapter 13; the cluster form draws groups (Field and Welsh 2007).
    """
    table = np.asarray(values, dtype=float)
    table = table[:, None] if table.ndim == 1 else table
    names = list(range(len(table))) if groups is None else list(groups)
    if len(names) != len(table):
        raise ValueError(f"{len(names)} groups for {len(table)} rows; name the group of each")
    # Sums and counts of each group make a resample one matrix product instead of a gather of all its cases.
    unique = {name: index for index, name in enumerate(dict.fromkeys(names))}
    membership = np.zeros((len(unique), len(table)))
    membership[[unique[name] for name in names], np.arange(len(table))] = 1
    sums, counts = membership @ np.nan_to_num(table), membership @ ~np.isnan(table)
    if (counts.sum(axis=1) > 0).sum() < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (draws @ sums) / (draws @ counts)
    defined = means[~np.isnan(means).all(axis=1)]
    low, high = np.quantile(np.nanmean(defined, axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
