"""From a value for each case and class to fewer: MONAI's names, without its zero for what is defined nowhere."""

from __future__ import annotations

import torch
from monai.utils.enums import MetricReduction
from monai.utils.module import look_up_option


def reduce_cases(values: torch.Tensor, reduction: MetricReduction | str) -> tuple[torch.Tensor, torch.Tensor]:
    """Average or sum what is defined.

    ===================  ==========================================================================
    ``mean``             over cases for each class, then over classes: the ``mean`` of ``summary.json``
    ``mean_batch``       over cases, for each class
    ``mean_channel``     over classes, for each case
    ``sum``              over all
    ``sum_batch``        over cases, for each class
    ``sum_channel``      over classes, for each case
    ``none``             the values as they are
    ===================  ==========================================================================

    Where nothing is defined the result is NaN; MONAI's ``do_metric_reduction`` says 0, which reads like a miss
    (MONAI#7504), and its ``mean`` takes classes first, so that a case with one class weighs as much as one with ten.

    Args:
        values: NaN where undefined.
        reduction: one of the names above.

    Shape:
        values ``(B, C)``. Gives ``()``, ``(C,)``, ``(B,)`` or ``(B, C)``, and of the same shape how many values each
        rests on (for ``mean`` the number of classes).

    Raises:
        ValueError: the reduction has no such name.
    """
    kind = look_up_option(reduction, MetricReduction)
    defined = ~values.isnan()
    if kind == MetricReduction.NONE:
        return values, defined.to(values.dtype)
    if kind == MetricReduction.MEAN:
        classes = values.nanmean(dim=0)
        return classes.nanmean(), (~classes.isnan()).sum().to(values.dtype)
    dims = {
        MetricReduction.SUM: (0, 1),
        MetricReduction.SUM_BATCH: (0,),
        MetricReduction.SUM_CHANNEL: (1,),
        MetricReduction.MEAN_BATCH: (0,),
        MetricReduction.MEAN_CHANNEL: (1,),
    }[MetricReduction(kind)]
    count = defined.sum(dim=dims).to(values.dtype)
    if kind in (MetricReduction.MEAN_BATCH, MetricReduction.MEAN_CHANNEL):
        return values.nanmean(dim=dims), count
    return values.nansum(dim=dims).where(count > 0, torch.nan), count
