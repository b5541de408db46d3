"""Lesions, cells, vessels: how many were found, and how well, per case and class.

An instance is a connected component of a class. Predicted and reference instances of one class are matched, and

=====================  ===========================================  ==============================
metric                 value                                        also known as
=====================  ===========================================  ==============================
`LesionRecall`         share of reference instances that are found  lesion-wise sensitivity
`LesionPrecision`      share of predicted instances that are right  lesion-wise PPV
`LesionF1`             harmonic mean of both                        detection F1, F1 score
`RecognitionQuality`   `LesionF1` of one-to-one matches             RQ, detection quality DQ
`SegmentationQuality`  mean IoU of one-to-one matches               SQ
`PanopticQuality`      SQ x RQ                                      PQ
=====================  ===========================================  ==============================

One to one: instances match if their IoU is greater than ``iou_threshold``. From 0.5 on no instance can have two such
partners; below, the pair of greatest IoU is taken first, pairs of equal IoU in the order of their predictions. So does
panoptica's ``NaiveThresholdMatching``, which also takes an IoU that equals the threshold.

Any overlap: with ``iou_threshold=None`` the lesion metrics count an instance as found, or right, if it shares a voxel
with any of the other side, as challenges on small lesions do (WMH 2017, ISLES 2022, ATLAS).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.instances import Matches, match_instances
from monai_seg.metrics.mask_metric import MaskMetric


class InstanceMetric(MaskMetric):
    """Base of metrics on instances, the connected components of each class.

    Args:
        num_classes: see `MaskMetric`.
        iou_threshold: matches have a greater IoU than this, from 0 to less than 1; None is any overlap.
        connectivity: along how many axes at once touching voxels of an instance may differ, from 1 (faces) to the
            number of axes (corners too, the default).
        kwargs: see `MaskMetric`.

    Raises:
        ValueError: there is no such threshold or connectivity.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        iou_threshold: float | None = 0.5,
        connectivity: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        if iou_threshold is not None and not 0 <= iou_threshold < 1:
            raise ValueError(f"iou_threshold is {iou_threshold}; give a number from 0 to less than 1")
        if connectivity is not None and connectivity < 1:
            raise ValueError(f"connectivity is {connectivity}; give 1 (faces) to the number of axes (corners)")
        self.iou_threshold, self.connectivity = iou_threshold, connectivity

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        connectivity = self.connectivity or comparison.masks.prediction.ndim - 1
        matches = comparison.once(match_instances, connectivity, self.iou_threshold)
        return apply_empty_policy(self.value(matches), matches.predicted == 0, matches.referred == 0)

    @abstractmethod
    def value(self, matches: Matches) -> torch.Tensor:
        """Values ``(B, C)`` where both sides have instances; what stands elsewhere does not matter."""


class LesionRecall(InstanceMetric):
    """Share of reference instances that have a match, per case and class, in [0, 1].

    With ``iou_threshold=None`` that is the lesion-wise sensitivity of the WMH challenge.
    """

    def value(self, matches: Matches) -> torch.Tensor:
        return matches.found / matches.referred


class LesionPrecision(InstanceMetric):
    """Share of predicted instances that have a match, per case and class, in [0, 1]."""

    def value(self, matches: Matches) -> torch.Tensor:
        return matches.right / matches.predicted


class LesionF1(InstanceMetric):
    """Harmonic mean of `LesionPrecision` and `LesionRecall`, per case and class, in [0, 1].

    One to one that is TP / (TP + FP/2 + FN/2), the `RecognitionQuality`. With ``iou_threshold=None`` it is the F1 of
    the WMH challenge; that of ISLES 2022 differs where one prediction finds several lesions or several find one,
    since it counts true positives in the reference only.

    Source:
        Kuijf et al. 2019, WMH Segmentation Challenge, doi:10.1109/TMI.2019.2905770; Metrics Reloaded,
        arXiv:2206.01653.
    """

    def value(self, matches: Matches) -> torch.Tensor:
        value = 2 * matches.right * matches.found
        value = value / (matches.right * matches.referred + matches.found * matches.predicted)
        return value.where(matches.found > 0, 0.0)


class PanopticMetric(InstanceMetric):
    """Base of metrics that rest on the IoU of one-to-one matches.

    Args:
        num_classes, connectivity, kwargs: see `InstanceMetric`.
        iou_threshold: matches have a greater IoU than this, from 0 to less than 1.

    Raises:
        ValueError: there is no such threshold or connectivity.

    Source:
        Kirillov et al. 2019, Panoptic Segmentation, arXiv:1801.00868, whose threshold is 0.5.
    """

    def __init__(self, num_classes: int | None = None, *, iou_threshold: float = 0.5, **kwargs: Any) -> None:
        if iou_threshold is None:
            raise ValueError(f"{type(self).__name__} needs one-to-one matches: give an iou_threshold, 0 for the least")
        super().__init__(num_classes, iou_threshold=iou_threshold, **kwargs)


class RecognitionQuality(PanopticMetric):
    """RQ, how many instances were recognised: TP / (TP + FP/2 + FN/2), per case and class, in [0, 1]."""

    def value(self, matches: Matches) -> torch.Tensor:
        return 2 * matches.found / (matches.predicted + matches.referred)


class SegmentationQuality(PanopticMetric):
    """SQ, how well the recognised instances were outlined: their mean IoU, per case and class, in [0, 1].

    Where both masks have instances but none match it is 0, as in panoptica and in COCO's ``panopticapi``, so that
    PQ = SQ x RQ always holds; Metrics Reloaded leaves it undefined there, whereby a miss would raise the mean.
    """

    def value(self, matches: Matches) -> torch.Tensor:
        return (matches.iou / matches.found).where(matches.found > 0, 0.0)


class PanopticQuality(PanopticMetric):
    """PQ, recognition and outline in one: `SegmentationQuality` times `RecognitionQuality`, in [0, 1]."""

    def value(self, matches: Matches) -> torch.Tensor:
        return 2 * matches.iou / (matches.predicted + matches.referred)
