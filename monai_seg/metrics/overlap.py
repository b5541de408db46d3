"""Overlap of masks from exact voxel counts: a value for each case and class."""

from __future__ import annotations

import torch
from monai.utils.enums import MetricReduction

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.mask_metric import MaskMetric


class Dice(MaskMetric):
    """Twice the overlap over the sum of both sizes, per case and class, in [0, 1].

    Source:
        Dice 1945; empty masks as in `monai_seg.metrics.empty_case`.
    """

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        value = 2 * counts.hit / (counts.predicted + counts.referred)
        return apply_empty_policy(value, comparison.prediction_empty, comparison.reference_empty)


class IoU(MaskMetric):
    """Intersection over union (Jaccard index), per case and class, in [0, 1]."""

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        value = counts.hit / (counts.predicted + counts.referred - counts.hit)
        return apply_empty_policy(value, comparison.prediction_empty, comparison.reference_empty)


class Precision(MaskMetric):
    """Share of the predicted voxels that are of the class (positive predictive value), per case and class, in [0, 1].

    Nothing predicted where there is something has precision 0, not an undefined one.
    """

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        return apply_empty_policy(
            counts.hit / counts.predicted, comparison.prediction_empty, comparison.reference_empty
        )


class Recall(MaskMetric):
    """Share of the voxels of the class that are predicted (sensitivity), per case and class, in [0, 1].

    Something predicted where there is nothing has recall 0, not an undefined one.
    """

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        return apply_empty_policy(counts.hit / counts.referred, comparison.prediction_empty, comparison.reference_empty)


class Specificity(MaskMetric):
    """Share of the voxels not of the class that are not predicted (true negative rate), per case and class, in [0, 1].

    It is the recall of everything else, empty masks included: 1 where nothing is predicted, NaN where both masks fill
    the image. Since it is near 1 wherever a class is rare, read it beside precision.
    """

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        left_out = counts.total - counts.predicted - counts.referred + counts.hit
        value = left_out / (counts.total - counts.referred)
        return apply_empty_policy(value, counts.predicted == counts.total, counts.referred == counts.total)


class Accuracy(MaskMetric):
    """Share of voxels on which prediction and reference agree whether they belong to the class, in [0, 1].

    With two classes this is the pixel accuracy. It is high wherever a class is rare: read it beside Dice. It is
    defined for empty masks too, since voxels that rightly are not of the class count as hits.
    """

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        return (counts.total - counts.predicted - counts.referred + 2 * counts.hit) / counts.total


class VolumeError(MaskMetric):
    """Difference of the two volumes over their mean, ``2 |P - R| / (P + R)``, per case and class, in [0, 2].

    P and R are the voxels of prediction and reference, so the value has no unit; 0.1 means that the volumes differ by
    10%. Small values are those of the relative volume difference ``|P - R| / R`` of many challenges (RVD, RAVD), which
    is infinite for an empty reference and 1 at most for whatever is too small; this one treats both alike and ends at
    2. It says nothing of where the volumes lie.

    Args:
        signed: ``2 (P - R) / (P + R)`` in [-2, 2], negative where too little is predicted: its mean over cases is
            the bias. The other arguments are those of `MaskMetric`.

    Source:
        Signed it is the volume similarity of SimpleITK (Tustison and Gee 2009); unsigned it is ``2 (1 - VS)`` with the
        VS of Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = False,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
        signed: bool = False,
    ) -> None:
        super().__init__(num_classes, include_background, reduction, get_not_nans)
        self.signed = signed

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = comparison.counts
        difference = counts.predicted - counts.referred
        value, worst = 2 * difference / (counts.predicted + counts.referred), 2 * difference.sign()
        value = apply_empty_policy(value, comparison.prediction_empty, comparison.reference_empty, worst)
        return value if self.signed else value.abs()
