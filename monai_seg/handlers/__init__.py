"""Ignite handlers: checkpoints, schedule, model selection, TensorBoard review, per-case tables."""

from monai_seg.handlers.case_metric import CaseMetric
from monai_seg.handlers.case_table import CaseTable
from monai_seg.handlers.checkpoints import Checkpoints
from monai_seg.handlers.classification_evaluation import ClassificationEvaluation
from monai_seg.handlers.classification_review import ClassificationReview
from monai_seg.handlers.console import ConsoleProgress
from monai_seg.handlers.detection_review import DetectionReview
from monai_seg.handlers.model_selection import ModelSelection
from monai_seg.handlers.object_evaluation import ObjectEvaluation
from monai_seg.handlers.plateau import PlateauSchedule
from monai_seg.handlers.schedule import CosineSchedule
from monai_seg.handlers.surface_dice import SurfaceDice
from monai_seg.handlers.tensorboard import TensorBoardReview
from monai_seg.handlers.validation import IntervalValidation
from monai_seg.handlers.weight_average import WeightAverage

__all__ = [
    "CaseMetric",
    "CaseTable",
    "Checkpoints",
    "ClassificationEvaluation",
    "ClassificationReview",
    "ConsoleProgress",
    "CosineSchedule",
    "DetectionReview",
    "IntervalValidation",
    "ModelSelection",
    "ObjectEvaluation",
    "PlateauSchedule",
    "SurfaceDice",
    "TensorBoardReview",
    "WeightAverage",
]
