"""Metrics on the device that trains, as MONAI metrics: one value per case and class, one policy for empty masks."""

from monai_seg.metrics.bootstrap import bootstrap_interval
from monai_seg.metrics.boundary_iou import BoundaryIoU
from monai_seg.metrics.case_loss import CaseLoss
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.lesions import (
    LesionF1,
    LesionPrecision,
    LesionRecall,
    PanopticQuality,
    RecognitionQuality,
    SegmentationQuality,
)
from monai_seg.metrics.mask_metric import MaskMetric
from monai_seg.metrics.masks import MaskError
from monai_seg.metrics.overlap import Accuracy, Dice, IoU, Precision, Recall, Specificity, VolumeError
from monai_seg.metrics.pooled_overlap import PooledDice, PooledIoU
from monai_seg.metrics.reduction import reduce_cases
from monai_seg.metrics.surface import (
    AverageSymmetricSurfaceDistance,
    HausdorffDistance,
    MeanAverageSurfaceDistance,
    SurfaceDice,
    surface_dice,
)

__all__ = [
    "Accuracy",
    "AverageSymmetricSurfaceDistance",
    "BoundaryIoU",
    "CaseLoss",
    "Dice",
    "HausdorffDistance",
    "IoU",
    "LesionF1",
    "LesionPrecision",
    "LesionRecall",
    "MaskError",
    "MaskMetric",
    "MeanAverageSurfaceDistance",
    "PanopticQuality",
    "PooledDice",
    "PooledIoU",
    "Precision",
    "Recall",
    "RecognitionQuality",
    "SegmentationQuality",
    "Specificity",
    "SurfaceDice",
    "VolumeError",
    "apply_empty_policy",
    "bootstrap_interval",
    "reduce_cases",
    "surface_dice",
]
