"""The handler that writes what a bundle gives, for bundles that name none because they are data alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_seg.inference.class_table import ClassTable
from monai_seg.inference.instance_files import InstanceFiles
from monai_seg.inference.prediction_files import PredictionFiles


def files_of(
    gives: str, output_dir: str | Path, class_names: Sequence[str]
) -> PredictionFiles | InstanceFiles | ClassTable:
    """The writer of predictions of one kind.

    Args:
        gives: ``"image"``, ``"object"`` or ``"probabilities"``.
        output_dir: folder of the predictions.
        class_names: index 0 first; of label maps, those of labels 1, 2 ...

    Raises:
        ValueError: there is no such kind.
    """
    if gives == "image":
        return PredictionFiles(output_dir=output_dir, class_names=class_names)
    if gives == "object":
        return InstanceFiles(output_dir=output_dir, class_names=class_names)
    if gives == "probabilities":
        return ClassTable(output_dir, class_names)
    raise ValueError(f"gives is {gives!r}; image, object and probabilities are known")
