"""What follows from counts of right and wrong predictions of exclusive classes.

All functions take weights ``(R, N)``: how often each of N cases counts in each of R resamples, as the bootstrap draws
them. Without weights every case counts once and R is 1. What is undefined is NaN, and no mean counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


def confusion_matrices(
    prediction: torch.Tensor, reference: torch.Tensor, classes: int, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Number of cases by reference (rows) and prediction (columns).

    Args:
        prediction: index of the predicted class of each case.
        reference: index of the true one.
        classes: number of classes.
        weights: see above.

    Shape:
        prediction, reference ``(N,)``, weights ``(R, N)``. Gives ``(R, K, K)``, float64.

    Raises:
        ValueError: an index is of no class, or the shapes differ.
    """
    if prediction.shape != reference.shape or prediction.ndim != 1:
        shapes = f"{tuple(prediction.shape)} and {tuple(reference.shape)}"
        raise ValueError(f"prediction and reference are {shapes}; give one class index for each case, (N,)")
    both = torch.cat([prediction, reference]).long()
    if both.numel() and (int(both.min()) < 0 or int(both.max()) >= classes):
        raise ValueError(f"class indices go from {int(both.min())} to {int(both.max())}; the classes are {classes}")
    cells = F.one_hot(reference.long() * classes + prediction.long(), classes**2).double()
    return (rows_of(weights, cells) @ cells).view(-1, classes, classes)


def rows_of(weights: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    """Weights ``(R, N)`` for N values, in double precision; every value once where there are none."""
    if weights is None:
        return torch.ones(1, len(values), dtype=torch.float64, device=values.device)
    return weights.to(device=values.device, dtype=torch.float64)


@dataclass(frozen=True)
class ConfusionMeasures:
    """Measures of R confusion matrices of K classes.

    Attributes:
        accuracy, balanced_accuracy, kappa: of all cases, ``(R,)``. Balanced accuracy is the mean recall of the classes
            that occur; kappa is Cohen's.
        precision, recall, specificity, f1: of each class against the others, ``(R, K)``: undefined where nothing is
            predicted as the class; nothing is of it; everything is; neither predicted nor there.
        support: cases of each class, ``(R, K)``.
    """

    accuracy: torch.Tensor
    balanced_accuracy: torch.Tensor
    kappa: torch.Tensor
    precision: torch.Tensor
    recall: torch.Tensor
    specificity: torch.Tensor
    f1: torch.Tensor
    support: torch.Tensor

    def weighted(self, name: str) -> torch.Tensor:
        """Mean of a measure over the classes, each weighing as many cases as it has, ``(R,)``."""
        values = getattr(self, name)
        share = self.support * ~torch.isnan(values)
        return (torch.nan_to_num(values) * share).sum(1) / share.sum(1)


def confusion_measures(matrices: torch.Tensor) -> ConfusionMeasures:
    """All measures that need nothing but counts; 0 / 0 is undefined.

    Args:
        matrices: from `confusion_matrices`.

    Source:
        Tests compare with scikit-learn (``zero_division=nan``).
    """
    total = matrices.sum((1, 2))
    right = matrices.diagonal(dim1=1, dim2=2)
    support, predicted = matrices.sum(2), matrices.sum(1)
    others = total[:, None] - support
    recall = right / support
    by_chance = (support * predicted).sum(1) / total**2
    accuracy = right.sum(1) / total
    return ConfusionMeasures(
        accuracy=accuracy,
        balanced_accuracy=recall.nanmean(1),
        kappa=(accuracy - by_chance) / (1 - by_chance),
        precision=right / predicted,
        recall=recall,
        specificity=(others - (predicted - right)) / others,
        f1=2 * right / (support + predicted),
        support=support,
    )


def top_accuracy(
    probabilities: torch.Tensor, reference: torch.Tensor, k: int = 2, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Share of cases whose class is among the k most probable; of equal ones the first class comes first, ``(R,)``."""
    places = probabilities.argsort(dim=1, descending=True, stable=True)[:, :k]
    hits = (places == reference.long()[:, None]).any(1).double()
    rows = rows_of(weights, hits)
    return rows @ hits / rows.sum(1)
