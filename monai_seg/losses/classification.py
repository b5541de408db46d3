"""The loss of a classifier, and what it does about classes of unequal size: `ClassificationLoss`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

IMBALANCES = ("none", "weighted", "effective", "focal", "sampler")


class ClassificationLoss(nn.Module):
    """Cross-entropy of exclusive classes, with one of several answers to classes of unequal size.

    =============  ====================================================================================
    ``none``       cross-entropy
    ``weighted``   each class weighs by the inverse of its number of training cases
    ``effective``  by the inverse of its effective number, which grows slower than the number of cases
    ``focal``      what is already recognised weighs less: ``(1 - probability) ** gamma``
    ``sampler``    cross-entropy; the training sampler draws all classes equally often
    =============  ====================================================================================

    Args:
        class_counts: training cases of each class.
        imbalance: one of the above.
        label_smoothing: share of each target that is spread evenly over all classes.
        beta: of the effective number, 0 (all classes alike) to below 1 (as ``weighted``).
        gamma: of the focal loss, 0 (cross-entropy) or more.

    Shape:
        scores ``(B, K)``, or a list of such, whose losses are averaged; target ``(B,)`` of class indices, or ``(B, K)``
        of shares, as mix-up gives them. Gives one number: the mean over the batch, in which each case weighs as its
        class does.

    Raises:
        ValueError: an option is impossible, or a class has no training case where its weight depends on it.

    Source:
        arXiv:1708.02002 (focal), arXiv:1901.05555 (effective number). Tests compare with PyTorch's and MONAI's losses.

    Example:
        >>> ClassificationLoss([30, 10], "weighted").class_weights.tolist()
        [0.5, 1.5]
    """

    class_weights: torch.Tensor

    def __init__(
        self,
        class_counts: Sequence[int],
        imbalance: str = "none",
        label_smoothing: float = 0.0,
        beta: float = 0.999,
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        if imbalance not in IMBALANCES:
            raise ValueError(f"imbalance is {imbalance!r}; give one of {', '.join(IMBALANCES)}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; give a share from 0 to below 1")
        if not 0 <= beta < 1 or gamma < 0:
            raise ValueError(f"beta is {beta}, gamma {gamma}; give 0 to below 1, and 0 or more")
        self.label_smoothing = label_smoothing
        self.gamma = gamma if imbalance == "focal" else 0.0
        self.register_buffer("class_weights", class_weights(class_counts, imbalance, beta))

    def forward(self, scores: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        if not isinstance(scores, torch.Tensor):
            return torch.stack([self(each, target) for each in scores]).mean()
        classes = scores.shape[1]
        weights = self.class_weights.to(scores)
        shares = F.one_hot(target.long(), classes).to(scores) if target.ndim == 1 else target.to(scores)
        weight_of_case = shares @ weights
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / classes
        log_probability = scores.log_softmax(1)
        terms = -weights * shares * log_probability
        if self.gamma:
            # 1 - p by expm1: near certainty the difference would be lost to rounding, and its power has no gradient.
            terms = terms * (-torch.expm1(log_probability)).clamp(min=1e-7) ** self.gamma
        return terms.sum() / weight_of_case.sum()


def class_weights(class_counts: Sequence[int], imbalance: str, beta: float = 0.999) -> torch.Tensor:
    """Weight of each class, so that a training case weighs 1 on average over the classes.

    Args:
        class_counts: training cases of each class.
        imbalance: ``"weighted"``, ``"effective"``, or another one, for which all weigh 1.
        beta: of the effective number.

    Raises:
        ValueError: a class has no training case.
    """
    counts = torch.tensor([float(count) for count in class_counts])
    if imbalance not in ("weighted", "effective"):
        return torch.ones(len(counts))
    if not bool((counts > 0).all()):
        raise ValueError(f"class_counts are {list(class_counts)}; a class without a training case has no weight")
    effective = counts if imbalance == "weighted" else (1 - beta**counts) / (1 - beta)
    weights = 1 / effective
    return weights / weights.mean()
