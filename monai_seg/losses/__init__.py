"""Losses that MONAI lacks, made as its own are."""

from monai_seg.losses.classification import ClassificationLoss, class_weights
from monai_seg.losses.focal_dice import FocalDiceLoss

__all__ = ["ClassificationLoss", "FocalDiceLoss", "class_weights"]
