"""From a trained network to files: weights, inputs, masks in the geometry of their inputs, objects and classes."""

from monai_seg.inference.class_table import ClassTable
from monai_seg.inference.files_of import files_of
from monai_seg.inference.instance_files import InstanceFiles
from monai_seg.inference.label_map_file import prediction_name, write_label_map
from monai_seg.inference.prediction_files import PredictionFiles
from monai_seg.inference.sliding_detection import SlidingWindowDetectionInferer
from monai_seg.inference.weights import find_weights, load_weights

__all__ = [
    "ClassTable",
    "InstanceFiles",
    "PredictionFiles",
    "SlidingWindowDetectionInferer",
    "files_of",
    "find_weights",
    "load_weights",
    "prediction_name",
    "write_label_map",
]
