"""Curves of each class against all others: ROC and precision-recall, and the areas below them."""

from __future__ import annotations

import torch

from monai_seg.metrics.classification.confusion import rows_of


def roc_curve(scores: torch.Tensor, positive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """False positive rate, true positive rate and threshold at each distinct score, from (0, 0) on.

    Args:
        scores: of the class for each case.
        positive: whether the case is of the class.

    Shape:
        scores, positive ``(N,)``. Gives three times ``(T + 1,)``; NaN rates where no case is, or is not, of the class.
    """
    right, wrong, thresholds = _counts_from_above(scores, positive, None)
    return wrong[0] / wrong[0, -1], right[0] / right[0, -1], thresholds


def precision_recall_curve(
    scores: torch.Tensor, positive: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Precision, recall and threshold at each distinct score, falling; the first point, recall 0, has precision 1.

    Args, shape:
        as of `roc_curve`.
    """
    right, wrong, thresholds = _counts_from_above(scores, positive, None)
    precision = right[0] / (right[0] + wrong[0])
    precision[0] = 1.0
    return precision, right[0] / right[0, -1], thresholds


def roc_auc(scores: torch.Tensor, positive: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Area below the ROC curve, ``(R,)``: the share of pairs in the right order, ties counting half.

    NaN where no case is of the class, or all are.

    Args:
        scores, positive: as of `roc_curve`.
        weights: how often each case counts, ``(R, N)``.
    """
    right, wrong, _ = _counts_from_above(scores, positive, weights)
    area = (wrong.diff(dim=1) * (right[:, 1:] + right[:, :-1])).sum(1) / 2
    return area / (right[:, -1] * wrong[:, -1])


def average_precision(
    scores: torch.Tensor, positive: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean precision over the rises of recall, ``(R,)``, as scikit-learn sums it; NaN where no case is of the class.

    Args:
        scores, positive, weights: as of `roc_auc`.
    """
    right, wrong, _ = _counts_from_above(scores, positive, weights)
    found = right + wrong
    precision = torch.where(found > 0, right / found, 0.0)
    return (right.diff(dim=1) * precision[:, 1:]).sum(1) / right[:, -1]


def _counts_from_above(
    scores: torch.Tensor, positive: torch.Tensor, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cases of the class and others with at least each distinct score, ``(R, T + 1)``, the first 0; the scores."""
    scores, order = scores.double().sort(descending=True, stable=True)
    rows, mine = rows_of(weights, scores)[:, order], positive.bool()[order].double()
    last_of_tie = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    last_of_tie[:-1] = scores[1:] != scores[:-1]
    right = (rows * mine).cumsum(1)[:, last_of_tie]
    wrong = (rows * (1 - mine)).cumsum(1)[:, last_of_tie]
    start = right.new_zeros(len(rows), 1)
    above = torch.cat([scores.new_full((1,), torch.inf), scores[last_of_tie]])
    return torch.cat([start, right], 1), torch.cat([start, wrong], 1), above
