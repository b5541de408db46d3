"""A Dice loss that presses harder on what overlaps least: `FocalDiceLoss`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from monai.losses import DiceLoss
from monai.utils.enums import LossReduction
from torch.nn.modules.loss import _Loss


class FocalDiceLoss(_Loss):
    """Dice loss with a focal term: ``1 - dice + alpha * (1 - dice) ** gamma``, case by case and class by class.

    The Dice loss is MONAI's. With ``gamma`` above 1 the second term is steep where the overlap is poor and flat where
    it is good, so that hard cases and classes weigh more than in the Dice loss: up to ``1 + alpha * gamma`` times.

    Args:
        include_background: count class 0 (the first channel) too.
        to_onehot_y: the target is a label map, to be turned into one channel per class.
        sigmoid: the input is logits of independent classes.
        softmax: the input is logits of exclusive classes.
        other_act: another function from the input to probabilities.
        squared_pred: square prediction and target in the denominator.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over cases and classes, after the focal term.
        smooth_nr: added to the numerator of Dice, so that two empty masks agree perfectly.
        smooth_dr: added to its denominator.
        batch: one Dice for each class over all cases of the batch, instead of one for each case too.
        alpha: weight of the focal term, 0 = the Dice loss.
        gamma: its power, at least 1: below, the gradient is infinite at a perfect overlap.

    Shape:
        input ``(B, C, H, W[, D])``; target the same, or ``(B, 1, H, W[, D])`` with ``to_onehot_y``. Gives one number;
        for ``"none"`` ``(B, C, 1, 1[, 1])``, or ``(C, 1, 1[, 1])`` with ``batch``. Half precision is computed, and
        returned, in float32: sums over an image do not fit into it.

    Source:
        The formula above. The loss of the same name by Wang and Chung, Focal Dice Loss and Image Dilation for Brain
        Tumor Segmentation, DLMIA 2018, is another one: ``1 - dice ** (1 / beta)``.

    Raises:
        ValueError: ``gamma`` is below 1, ``alpha`` below 0, the reduction unknown, or more than one activation given.

    Example:
        >>> prediction, target = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4)
        >>> prediction[..., :2] = target[..., 1:3] = 1  # Dice 0.5
        >>> round(FocalDiceLoss()(prediction, target).item(), 4)
        0.5625
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[torch.Tensor], torch.Tensor] | None = None,
        squared_pred: bool = False,
        reduction: LossReduction | str = LossReduction.MEAN,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
        batch: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; give a weight of 0 or more")
        if not 1 <= gamma < math.inf:
            raise ValueError(f"gamma is {gamma}; give 1 or more, or the gradient is infinite at a perfect overlap")
        self.alpha, self.gamma = alpha, gamma
        self.dice = DiceLoss(
            include_background=include_background,
            to_onehot_y=to_onehot_y,
            sigmoid=sigmoid,
            softmax=softmax,
            other_act=other_act,
            squared_pred=squared_pred,
            reduction=LossReduction.NONE,
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            batch=batch,
        )

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        exact = torch.promote_types(input.dtype, torch.float32)
        missing = self.dice(input.to(exact), target.to(exact))
        # Rounding may leave a perfect overlap a little below 0, where a broken power is NaN.
        loss = missing + self.alpha * missing.clamp(min=0) ** self.gamma
        if self.reduction == LossReduction.MEAN.value:
            return loss.mean()
        return loss.sum() if self.reduction == LossReduction.SUM.value else loss
