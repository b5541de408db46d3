"""Overlap of all cases as if they were one image, to compare with papers that pool."""

from __future__ import annotations

from abc import abstractmethod

import torch
from monai.utils.enums import MetricReduction
from monai.utils.module import look_up_option

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.mask_metric import MaskMetric

AVERAGES = ("micro", "macro", "none")


class PooledOverlap(MaskMetric):
    """Base of metrics on voxel counts that are summed over cases before they are divided.

    A large case weighs more than a small one, and a missed small structure hardly shows. Tables and summaries of this
    project therefore never pool: they average `Dice` and `IoU` of cases. Take this only beside a paper that pools.

    Args:
        num_classes, include_background: as in `MaskMetric`.
        average: ``micro`` sums the counts of all classes too, so that large structures decide; ``macro`` averages the
            values of the classes where they are defined; None gives one value for each class.

    Shape:
        prediction and reference as in `MaskMetric`. A call gives the counts of a batch, ``(B, C, 3)``: voxels in both
        masks, in the prediction and in the reference. `aggregate` gives ``()``, or ``(C,)`` without an average; NaN
        where no case has anything in either mask.

    Note:
        The buffer holds whole numbers in float64, so the result is the same to the last bit for any order of the cases
        and any number of processes. In an engine, where `CaseTable` expects a value for each case, give `CaseMetric`
        ``save_details=False``.
    """

    def __init__(
        self, num_classes: int | None = None, include_background: bool = False, average: str | None = "macro"
    ) -> None:
        super().__init__(num_classes, include_background)
        self.average = look_up_option(average or "none", AVERAGES)

    @abstractmethod
    def ratio(self, hit: torch.Tensor, predicted: torch.Tensor, referred: torch.Tensor) -> torch.Tensor:
        """The metric from voxel counts, of which some may be 0."""

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        return torch.stack([counts.hit, counts.predicted, counts.referred], dim=2)

    def aggregate(self, reduction: MetricReduction | str | None = None) -> torch.Tensor:
        """The metric of all cases of all processes; ``reduction`` takes another average than that of the metric."""
        average = look_up_option(reduction, AVERAGES) if reduction else self.average
        counts = self.all_cases().sum(dim=0)
        counts = counts.sum(dim=0) if average == "micro" else counts
        hit, predicted, referred = counts.unbind(-1)
        value = apply_empty_policy(self.ratio(hit, predicted, referred), predicted == 0, referred == 0)
        return value.nanmean() if average == "macro" else value


class PooledDice(PooledOverlap):
    """Dice of all cases as one: twice the overlap over the sum of both sizes, in [0, 1]."""

    def ratio(self, hit: torch.Tensor, predicted: torch.Tensor, referred: torch.Tensor) -> torch.Tensor:
        return 2 * hit / (predicted + referred)


class PooledIoU(PooledOverlap):
    """IoU of all cases as one: intersection over union, in [0, 1]."""

    def ratio(self, hit: torch.Tensor, predicted: torch.Tensor, referred: torch.Tensor) -> torch.Tensor:
        return hit / (predicted + referred - hit)
