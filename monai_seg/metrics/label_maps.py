"""What metrics on label maps share: their arguments, their checks, their mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric


class LabelMapMetric(CumulativeIterationMetric):
    """Base of metrics that compare integer label maps case by case and class by class.

    Args:
        num_classes: number of classes with background.
        include_background: give class 0 a value too.

    Shape:
        prediction and reference ``(B, 1, H, W[, D])``, whole numbers from 0 to ``num_classes - 1`` in any dtype, or
        lists of ``(1, H, W[, D])`` of differing size. One value for each case and class: ``(B, num_classes)``, or
        ``(B, num_classes - 1)`` without background; NaN where it is undefined.

    Raises:
        ValueError: shapes differ, there is more than one channel, or a label lies outside the classes.
    """

    def __init__(self, num_classes: int, include_background: bool = False) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; it counts the background, so it is at least 2")
        self.num_classes, self.include_background = num_classes, include_background

    @abstractmethod
    def per_class(self, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Values ``(B, num_classes)`` of label maps ``(B, 1, ...)``, int64, checked."""

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None or y_pred.shape != y.shape:
            shape = None if y is None else tuple(y.shape)
            raise ValueError(f"prediction {tuple(y_pred.shape)} and reference {shape} differ in shape")
        if y_pred.shape[1] != 1:
            raise ValueError(f"got {y_pred.shape[1]} channels; give label maps with one channel, as from argmax")
        for name, labels in (("prediction", y_pred), ("reference", y)):
            low, high = labels.min().item(), labels.max().item()
            if low < 0 or high >= self.num_classes:
                raise ValueError(f"{name} holds labels from {low} to {high}; classes are 0 to {self.num_classes - 1}")
            if labels.is_floating_point() and not torch.equal(labels, labels.round()):
                raise ValueError(
                    f"{name} holds fractions from {low:.4g} to {high:.4g}; give whole numbers, as from argmax"
                )
        values = self.per_class(y_pred, y)
        return values if self.include_background else values[:, 1:]

    def aggregate(self) -> torch.Tensor:
        """Mean over classes of each class's mean over the cases where it is defined, as one number."""
        return self.get_buffer().nanmean(dim=0).nanmean()


def confusion(prediction: torch.Tensor, reference: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Voxel counts of each pair of classes, exact whole numbers, on the device of the label maps.

    Shape:
        ``(B, 1, ...)`` each. Gives ``(B, num_classes, num_classes)``, int64: reference by row, prediction by column.
    """
    batch = prediction.shape[0]
    pairs = torch.as_tensor(reference).long() * num_classes + torch.as_tensor(prediction).long()
    offsets = torch.arange(batch, device=pairs.device).view(-1, 1) * num_classes**2
    counts = torch.bincount((pairs.reshape(batch, -1) + offsets).flatten(), minlength=batch * num_classes**2)
    return counts.view(batch, num_classes, num_classes)
