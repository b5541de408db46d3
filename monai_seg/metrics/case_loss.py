"""The training loss, case by case, as a metric: to see overfitting, train and validation loss belong in one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric


class CaseLoss(CumulativeIterationMetric):
    """Mean over cases of a loss on whole images.

    Args:
        loss_function: takes logits ``(B, C, ...)`` and label maps ``(B, 1, ...)``.

    Shape:
        logits and label maps with a batch, or lists of ``(C, ...)`` and ``(1, ...)``. Gives ``(B, 1)``.
    """

    def __init__(self, loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.loss_function = loss_function

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise ValueError("the loss needs a label map for each prediction")
        losses = [
            self.loss_function(torch.as_tensor(p)[None], torch.as_tensor(r)[None])
            for p, r in zip(y_pred, y, strict=True)
        ]
        return torch.stack([loss.mean() for loss in losses])[:, None]

    def aggregate(self) -> torch.Tensor:
        """Mean over the cases, as one number."""
        return self.get_buffer().mean()
