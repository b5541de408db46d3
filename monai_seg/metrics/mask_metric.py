"""What all metrics on masks share: which forms they take, how they accumulate, and that work is done once for all."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from monai.utils.enums import MetricReduction
from monai.utils.module import look_up_option

from monai_seg.metrics.comparison import Comparison, Masks, comparisons
from monai_seg.metrics.masks import MaskError
from monai_seg.metrics.reduction import reduce_cases


class MaskMetric(CumulativeIterationMetric):
    """Base of metrics that compare masks case by case and class by class, on the device of the masks.

    A subclass says what it computes in `per_class`, from a `Comparison`. Several metrics that are given the same
    tensors one after another share one `Comparison`, and with it all that it found: overlaps, surfaces, distances.

    Args:
        num_classes: number of classes with background; needed for label maps, read from the channels otherwise.
        include_background: give class 0 (the first channel) a value too.
        reduction: what `aggregate` does with the values of cases and classes, see `reduce_cases`.
        get_not_nans: `aggregate` gives the number of defined values too.

    Shape:
        prediction and reference ``(B, 1, H, W[, D])`` label maps, whole numbers from 0 to ``num_classes - 1`` in any
        dtype, or masks of 0 and 1 ``(B, C, H, W[, D])``, which may overlap; or lists of such without B, of differing
        size. One value for each case and class: ``(B, num_classes)``, or ``(B, num_classes - 1)`` without background;
        float64, NaN where it is undefined (`monai_seg.metrics.empty_case`).

    Raises:
        MaskError: shapes or devices differ, or a value is no label. On a GPU, where looking at values would make the
            processor wait at each batch, the last is raised by `aggregate`.
        ValueError: too few classes, an unknown reduction, or nothing to aggregate.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = False,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < (1 if include_background else 2):
            raise ValueError(
                f"num_classes is {num_classes}; it counts the background, so it is at least 2 "
                "(1 for a single mask, with include_background)"
            )
        self.num_classes, self.include_background = num_classes, include_background
        self.reduction, self.get_not_nans = look_up_option(reduction, MetricReduction), get_not_nans
        self._faults: list[torch.Tensor] = []

    @abstractmethod
    def per_class(self, comparison: Comparison) -> torch.Tensor:
        """Values ``(B, C)``, float64, of the scored classes of a batch."""

    def __call__(self, y_pred: Masks, y: Masks | None = None, **kwargs: Any) -> torch.Tensor:
        """Values of a batch, which are also kept for `aggregate`.

        Args:
            y_pred: predictions.
            y: references.
            kwargs: ``spacing``, as MONAI's surface metrics take it: one number, one for each axis, or such for each
                case. Without it the affine of the reference says it, where it is a `MetaTensor`.
        """
        values = self._compute_tensor(y_pred, y, **kwargs)
        self.extend(values)
        return values

    def _compute_tensor(self, y_pred: Masks, y: Masks | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise MaskError(f"{type(self).__name__} compares: give a reference for each prediction")
        unknown = sorted(set(kwargs) - {"spacing"})
        if unknown:
            raise TypeError(f"{type(self).__name__} takes no {', '.join(unknown)}; only spacing")
        found = comparisons(y_pred, y, self.num_classes, self.include_background, kwargs.get("spacing"))
        self._faults.extend(each.masks.fault for each in found if each.masks.fault.device.type != "cpu")
        return torch.cat([self.per_class(comparison) for comparison in found])

    def reset(self) -> None:
        super().reset()
        self._faults = []

    def aggregate(
        self, reduction: MetricReduction | str | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Reduce the values of all cases of all processes; with ``get_not_nans`` also how many are defined."""
        value, count = reduce_cases(self.all_cases(), reduction or self.reduction)
        return (value, count) if self.get_not_nans else value

    def all_cases(self) -> torch.Tensor:
        """What `per_class` gave, one row for each case of all processes."""
        values = self.get_buffer()
        if values is None:
            raise ValueError(f"{type(self).__name__} has nothing to aggregate: compare a batch first")
        # Looked at only now, so that the other processes do not wait for this one.
        if self._faults and torch.stack(self._faults).any():
            raise MaskError("a prediction or reference holds values that are no labels; see them with .unique()")
        return values
