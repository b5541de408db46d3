"""SurfaceDice, also known as normalised surface distance (NSD)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.utils.enums import MetricReduction

from monai_seg.metrics.comparison import Comparison, Masks, Spacing, comparisons
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.mask_metric import MaskMetric
from monai_seg.metrics.surface.areas import element_areas
from monai_seg.metrics.surface.distances import surface_distances, surface_elements
from monai_seg.metrics.surface.lattice import CORNERS, VOXELS
from monai_seg.metrics.surface.within import SurfaceCounts, counts_within, reached

# Where surface elements are, and whether distances are compared in float32.
DEFINITIONS = {"subvoxel": (CORNERS, False), "monai_subvoxel": (CORNERS, True), "monai_border": (VOXELS, True)}


def surface_dice(
    prediction: Masks,
    reference: Masks,
    class_thresholds: Sequence[float],
    spacing: Spacing = None,
    num_classes: int | None = None,
    include_background: bool = False,
    definition: str = "subvoxel",
) -> torch.Tensor:
    """Share of both surfaces that lies within a tolerance of the other one, per case and class.

    Args:
        prediction, reference: label maps, masks or lists of them, see `MaskMetric`.
        class_thresholds: tolerance of each scored class, in mm.
        spacing: size of a voxel in mm: one number, one for each axis, or such for each case. None reads it from the
            affine of the reference, where it is a `MetaTensor`, and takes 1 elsewhere, so that voxels are the unit.
        num_classes: number of classes with background; by default as many as have a tolerance, and the background.
        include_background: score class 0 too; it then has a tolerance as well.
        definition: see `SurfaceDice`.

    Shape:
        Gives ``(B, C)``, float64, on the device of the masks.

    Returns:
        Values in [0, 1]; 0 where one mask is empty, NaN where both are.

    Raises:
        ValueError: a tolerance is negative or not finite, their number does not fit the classes, the definition is
            unknown, or the masks cannot be compared (`MaskError`).

    Source:
        arXiv:1809.04430, google-deepmind/surface-distance.

    Example:
        >>> mask = torch.zeros(1, 1, 8, 8)
        >>> mask[..., 2:6, 2:6] = 1
        >>> surface_dice(mask, mask, class_thresholds=[1.0]).item()
        1.0
    """
    metric = SurfaceDice(class_thresholds, include_background, definition=definition)
    if num_classes not in (None, metric.num_classes):
        raise ValueError(f"{len(metric.class_thresholds)} class_thresholds do not fit {num_classes} classes")
    found = comparisons(prediction, reference, metric.num_classes, include_background, spacing)
    return torch.cat([metric.per_class(comparison) for comparison in found])


class SurfaceDice(MaskMetric):
    """Share of both surfaces that lies within a tolerance of the other one, per case and class, in [0, 1].

    Takes the place of MONAI's ``SurfaceDiceMetric`` with the same arguments, but for ``ignore_index``, which makes a
    surface where it ignores. Without ``use_subvoxels`` the definition is the reference's, not MONAI's default. It
    computes on the device of the masks, exactly: whole numbers only, and whether an element lies within the tolerance
    is decided in float64 on the host.

    ==================  ====================================================================================
    ``definition``      surface elements, and what they weigh
    ==================  ====================================================================================
    ``subvoxel``        corners of the voxel grid between the class and others, length or area in mm: the
                        reference implementation. Distances are compared in float64.
    ``monai_subvoxel``  the same, distances compared in float32: MONAI's ``use_subvoxels=True``
    ``monai_border``    voxels of the class with a face on the outside, 1 each: MONAI's default
    ==================  ====================================================================================

    What lies outside the image counts as background in all of them, so that a structure that is cut off by the
    image's border has a surface there.

    Args:
        class_thresholds: tolerance of each scored class, in mm (pixels without a spacing).
        include_background: score class 0 (the first channel) too; ``class_thresholds`` has a value for it as well.
        distance_metric: ``euclidean``; MONAI's other ones are not offered.
        reduction, get_not_nans: as in `MaskMetric`.
        use_subvoxels: MONAI's name for a definition: True is ``monai_subvoxel``, False ``monai_border``.
        definition: from the table; ``use_subvoxels`` goes first where it is given.

    Raises:
        ValueError: a tolerance is negative or not finite, or the definition or distance is unknown.

    Source:
        arXiv:1809.04430, google-deepmind/surface-distance.
    """

    def __init__(
        self,
        class_thresholds: Sequence[float],
        include_background: bool = False,
        distance_metric: str = "euclidean",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
        use_subvoxels: bool | None = None,
        definition: str = "subvoxel",
    ) -> None:
        if isinstance(class_thresholds, (int, float)) or not len(class_thresholds):
            raise ValueError(f"class_thresholds is {class_thresholds}; give a list with a tolerance for each class")
        self.class_thresholds = [float(tolerance) for tolerance in class_thresholds]
        if not all(math.isfinite(tolerance) and tolerance >= 0 for tolerance in self.class_thresholds):
            raise ValueError(f"class_thresholds is {class_thresholds}; give finite tolerances of 0 or more")
        if distance_metric != "euclidean":
            raise ValueError(f"distance_metric is {distance_metric!r}; SurfaceDice measures 'euclidean' distances")
        if use_subvoxels is not None:
            definition = "monai_subvoxel" if use_subvoxels else "monai_border"
        if definition not in DEFINITIONS:
            raise ValueError(f"definition is {definition!r}; choose one of {', '.join(DEFINITIONS)}")
        self.kind, self.single = DEFINITIONS[definition]
        classes = len(self.class_thresholds) + (not include_background)
        super().__init__(classes, include_background, reduction, get_not_nans)

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        counts = self._counts(comparison).double()
        masks = comparison.masks
        if self.kind == CORNERS:
            areas = torch.stack([element_areas(size) for size in comparison.map_spacing])
            counts *= areas.to(counts.device)[:, None, None, :, None]
        # Of prediction and reference, without and with a hit.
        sizes = counts.sum(3).view(masks.batch, masks.channels, 2, 2)
        both = sizes.sum(2)
        value = both[..., 1] / both.sum(-1)
        empty = sizes.sum(-1) == 0
        return apply_empty_policy(value, empty[..., 0], empty[..., 1])

    def _counts(self, comparison: Comparison) -> torch.Tensor:
        masks = comparison.masks
        tolerances = [self.class_thresholds] * masks.batch
        if masks.classes < masks.channels:  # a map for each channel
            tolerances = [[tolerance] for each in tolerances for tolerance in each]
        elements = comparison.once(surface_elements, self.kind)
        if not comparison.knows(surface_distances, self.kind):
            return counts_within(elements, comparison.map_spacing, tolerances, self.single)
        distances = comparison.once(surface_distances, self.kind)
        maps, codes = elements.lattice.maps, elements.codes
        counts = SurfaceCounts(maps * masks.classes, codes, elements.device)
        limits = torch.tensor(tolerances, dtype=torch.float64, device=elements.device).flatten()
        for part in distances.parts:
            hit = reached(part.distance, limits.index_select(0, part.surface >> 1), self.single)
            counts.add(part.surface, part.code, hit)
        return counts.table.view(maps, masks.classes, 2, codes, 2)
