"""From a trained network to masks on disk: weights, inputs, and predictions in the geometry of their inputs."""

from monai_seg.inference.instance_files import InstanceFiles
from monai_seg.inference.label_map_file import prediction_name, write_label_map
from monai_seg.inference.prediction_files import PredictionFiles
from monai_seg.inference.sliding_detection import SlidingWindowDetectionInferer
from monai_seg.inference.weights import find_weights, load_weights

__all__ = [
    "InstanceFiles",
    "PredictionFiles",
    "SlidingWindowDetectionInferer",
    "find_weights",
    "load_weights",
    "prediction_name",
    "write_label_map",
]
