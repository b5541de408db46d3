"""What a prediction got right and wrong, in figures and pictures. Names load their file on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.review.block_comparison import BlockComparison, compare_blocks
    from monai_seg.review.block_counts import BlockCounts
    from monai_seg.review.classifier_comparison import (
        ClassifierComparison,
        ComparisonError,
        Difference,
        compare_classifiers,
    )
    from monai_seg.review.explanation import UnknownCaseError, explain_cases
    from monai_seg.review.label_map import ReviewError
    from monai_seg.review.pixel_measures import Measure, scene_measures
    from monai_seg.review.saliency import MissingExtraError, saliency_map
    from monai_seg.review.scene_review import SceneReview, review_scene

_HOMES = {
    "BlockComparison": "block_comparison",
    "BlockCounts": "block_counts",
    "ClassifierComparison": "classifier_comparison",
    "ComparisonError": "classifier_comparison",
    "Difference": "classifier_comparison",
    "Measure": "pixel_measures",
    "MissingExtraError": "saliency",
    "ReviewError": "label_map",
    "SceneReview": "scene_review",
    "UnknownCaseError": "explanation",
    "compare_blocks": "block_comparison",
    "compare_classifiers": "classifier_comparison",
    "explain_cases": "explanation",
    "review_scene": "scene_review",
    "saliency_map": "saliency",
    "scene_measures": "pixel_measures",
}

__all__ = [
    "BlockComparison",
    "BlockCounts",
    "ClassifierComparison",
    "ComparisonError",
    "Difference",
    "Measure",
    "MissingExtraError",
    "ReviewError",
    "SceneReview",
    "UnknownCaseError",
    "compare_blocks",
    "compare_classifiers",
    "explain_cases",
    "review_scene",
    "saliency_map",
    "scene_measures",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
