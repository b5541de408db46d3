"""How well objects are found: average precision, FROC and tables of images, from run-length codes of found masks.

An image's objects are encoded as soon as they are predicted, on whatever device, and all that is asked of them later is
answered from the codes: tens of thousands of masks fit into memory, and go from process to process.
"""

from monai_seg.metrics.detection.average_precision import average_precision, average_recall
from monai_seg.metrics.detection.froc import FROC_RATES, free_response
from monai_seg.metrics.detection.image_objects import ImageObjects, image_objects
from monai_seg.metrics.detection.matching import Matches, match_objects
from monai_seg.metrics.detection.operating_point import best_score_threshold, image_table, object_table

__all__ = [
    "FROC_RATES",
    "ImageObjects",
    "Matches",
    "average_precision",
    "average_recall",
    "best_score_threshold",
    "free_response",
    "image_objects",
    "image_table",
    "match_objects",
    "object_table",
]
