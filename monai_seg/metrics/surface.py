"""SurfaceDice (normalised surface distance, NSD) of label maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.data import MetaTensor
from monai.metrics import compute_surface_dice
from monai.networks.utils import one_hot

from monai_seg.metrics.label_maps import LabelMapMetric


class SurfaceDice(LabelMapMetric):
    """Share of both surfaces that lies within a tolerance of the other one, per case and class, in [0, 1].

    Surface elements are weighted by their length or area (the reference implementation's definition). The spacing is
    read from the reference's affine where it is a `MetaTensor`, and is 1 otherwise, so that pixels are the unit.

    Args:
        num_classes: number of classes with background.
        class_thresholds: tolerance of each foreground class in mm (or pixels), or one for all of them.
        include_background: give class 0 a value too; ``class_thresholds`` then has a value for it as well.

    Raises:
        ValueError: a tolerance is negative, or their number does not fit the classes.

    Source:
        arXiv:1809.04430, google-deepmind/surface-distance.
    """

    def __init__(
        self, num_classes: int, class_thresholds: float | Sequence[float], include_background: bool = False
    ) -> None:
        super().__init__(num_classes, include_background)
        wanted = num_classes if include_background else num_classes - 1
        given = [class_thresholds] * wanted if isinstance(class_thresholds, (int, float)) else list(class_thresholds)
        if len(given) != wanted or min(given) < 0:
            raise ValueError(f"class_thresholds is {class_thresholds}; give {wanted} tolerances of 0 or more")
        self.class_thresholds = [float(tolerance) for tolerance in given]

    def per_class(self, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        spacing = _spacing(reference)
        maps = (torch.as_tensor(labels).long() for labels in (prediction, reference))
        masks = [one_hot(labels, self.num_classes, dtype=torch.bool) for labels in maps]
        values = compute_surface_dice(
            *masks,
            class_thresholds=self.class_thresholds,
            include_background=self.include_background,
            spacing=spacing,
            use_subvoxels=True,
        ).double()
        if self.include_background:
            return values
        # The place of the background, which the base class takes away again.
        return torch.nn.functional.pad(values, (1, 0), value=float("nan"))


def _spacing(labels: torch.Tensor) -> list[list[float]]:
    batch, dims = len(labels), labels.ndim - 2
    if not isinstance(labels, MetaTensor):
        return [[1.0] * dims] * batch
    sizes = labels.pixdim if labels.is_batch else [labels.pixdim] * batch
    return [[float(size) for size in each[:dims]] for each in sizes]
