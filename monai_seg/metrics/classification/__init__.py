"""Classifiers judged, on the device: counts, curves, calibration, each for many weightings of the cases at once."""

from monai_seg.metrics.classification.calibration import (
    Reliability,
    brier_score,
    calibration_error,
    fit_temperature,
    reliability,
)
from monai_seg.metrics.classification.confusion import (
    ConfusionMeasures,
    confusion_matrices,
    confusion_measures,
    top_accuracy,
)
from monai_seg.metrics.classification.ranking import (
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from monai_seg.metrics.classification.report import PER_CLASS, WHOLE, classification_measures

__all__ = [
    "PER_CLASS",
    "WHOLE",
    "ConfusionMeasures",
    "Reliability",
    "average_precision",
    "brier_score",
    "calibration_error",
    "classification_measures",
    "confusion_matrices",
    "confusion_measures",
    "fit_temperature",
    "precision_recall_curve",
    "reliability",
    "roc_auc",
    "roc_curve",
    "top_accuracy",
]
