"""Metrics on the device that trains, as MONAI metrics: one value per case and class, one policy for empty masks."""

from monai_seg.metrics.bootstrap import bootstrap_interval
from monai_seg.metrics.case_loss import CaseLoss
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.overlap import Accuracy, Dice, IoU
from monai_seg.metrics.surface import SurfaceDice

__all__ = ["Accuracy", "CaseLoss", "Dice", "IoU", "SurfaceDice", "apply_empty_policy", "bootstrap_interval"]
