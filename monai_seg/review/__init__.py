"""What a prediction got right and wrong, in figures and pictures. Names load their file on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.review.block_comparison import BlockComparison, compare_blocks
    from monai_seg.review.block_counts import BlockCounts
    from monai_seg.review.label_map import ReviewError
    from monai_seg.review.pixel_measures import Measure, scene_measures
    from monai_seg.review.scene_review import SceneReview, review_scene

_HOMES = {
    "BlockComparison": "block_comparison",
    "BlockCounts": "block_counts",
    "Measure": "pixel_measures",
    "ReviewError": "label_map",
    "SceneReview": "scene_review",
    "compare_blocks": "block_comparison",
    "review_scene": "scene_review",
    "scene_measures": "pixel_measures",
}

__all__ = [
    "BlockComparison",
    "BlockCounts",
    "Measure",
    "ReviewError",
    "SceneReview",
    "compare_blocks",
    "review_scene",
    "scene_measures",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
