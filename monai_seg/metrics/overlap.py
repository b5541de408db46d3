"""Dice, IoU and accuracy from exact voxel counts."""

from __future__ import annotations

import torch

from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.label_maps import LabelMapMetric, confusion


class Dice(LabelMapMetric):
    """Twice the overlap over the sum of both sizes, per case and class, in [0, 1].

    Source:
        Dice 1945; empty masks as in `monai_seg.metrics.empty_case`.
    """

    def per_class(self, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        hit, predicted, referred, _ = _counts(prediction, reference, self.num_classes)
        return apply_empty_policy(2 * hit / (predicted + referred), predicted == 0, referred == 0)


class IoU(LabelMapMetric):
    """Intersection over union (Jaccard index), per case and class, in [0, 1]."""

    def per_class(self, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        hit, predicted, referred, _ = _counts(prediction, reference, self.num_classes)
        return apply_empty_policy(hit / (predicted + referred - hit), predicted == 0, referred == 0)


class Accuracy(LabelMapMetric):
    """Share of voxels on which prediction and reference agree whether they belong to the class, in [0, 1].

    With two classes this is the pixel accuracy. It is high wherever a class is rare: read it beside Dice. It is
    defined for empty masks too, since voxels that rightly are not of the class count as hits.
    """

    def per_class(self, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        hit, predicted, referred, total = _counts(prediction, reference, self.num_classes)
        return (total - predicted - referred + 2 * hit) / total


def _counts(
    prediction: torch.Tensor, reference: torch.Tensor, num_classes: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Voxels in both, in the prediction, in the reference, each ``(B, C)``, and in the image ``(B, 1)``, float64."""
    counts = confusion(prediction, reference, num_classes).double()
    return counts.diagonal(dim1=1, dim2=2), counts.sum(1), counts.sum(2), counts.sum((1, 2))[:, None]
