"""Hausdorff distance and its percentiles."""

from __future__ import annotations

from abc import abstractmethod

import torch
from monai.utils.enums import MetricReduction

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.mask_metric import MaskMetric
from monai_seg.metrics.overlap_counts import histogram
from monai_seg.metrics.surface.distances import SurfaceDistances, surface_distances
from monai_seg.metrics.surface.lattice import CORNERS, VOXELS
from monai_seg.metrics.whole_sums import Values, whole_parts

# Which surface elements distances are measured between.
DEFINITIONS = {"subvoxel": CORNERS, "monai_border": VOXELS}


class SurfaceDistanceMetric(MaskMetric):
    """Base of metrics of the distance between surfaces, in mm; the image's diagonal where one mask is empty.

    ==================  ====================================================================================
    ``definition``      surface elements, and what they weigh
    ==================  ====================================================================================
    ``subvoxel``        corners of the voxel grid between the class and others, length or area in mm: the
                        reference implementation of the surface distance
    ``monai_border``    voxels of the class with a face on the outside, 1 each: MONAI
    ==================  ====================================================================================

    Args:
        num_classes, include_background, reduction, get_not_nans: as in `MaskMetric`.
        definition: from the table.

    Raises:
        ValueError: the definition is unknown.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = False,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
        definition: str = "subvoxel",
    ) -> None:
        super().__init__(num_classes, include_background, reduction, get_not_nans)
        if definition not in DEFINITIONS:
            raise ValueError(f"definition is {definition!r}; choose one of {', '.join(DEFINITIONS)}")
        self.kind = DEFINITIONS[definition]

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        distances = comparison.once(surface_distances, self.kind)
        empty = distances.counts() == 0
        return apply_empty_policy(self.value(distances), empty[..., 0], empty[..., 1], worst=comparison.diagonal)

    @abstractmethod
    def value(self, distances: SurfaceDistances) -> torch.Tensor:
        """Values ``(B, C)`` in mm; what stands where a mask is empty does not matter."""


class HausdorffDistance(SurfaceDistanceMetric):
    """Largest distance from either surface to the other, or a percentile of the distances instead, in mm.

    The percentile is taken of each direction, and the larger of both counts. With ``definition="subvoxel"`` it is the
    least distance within which so much of the surface lies, by length or area (the reference implementation's
    ``robust_hausdorff``); with ``"monai_border"`` that of the voxels, interpolated linearly (MONAI's
    ``HausdorffDistanceMetric``).

    Args:
        num_classes, include_background, reduction, get_not_nans, definition: as in `SurfaceDistanceMetric`.
        percentile: in (0, 100]; None is the maximum. 95 is known as HD95.
        directed: only from the prediction to the reference.

    Raises:
        ValueError: the percentile is out of range.

    Source:
        Huttenlocher et al. 1993; google-deepmind/surface-distance.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = False,
        percentile: float | None = None,
        directed: bool = False,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
        definition: str = "subvoxel",
    ) -> None:
        super().__init__(num_classes, include_background, reduction, get_not_nans, definition)
        if percentile is not None and not 0 < percentile <= 100:
            raise ValueError(f"percentile is {percentile}; give one above 0 and up to 100, or None for the maximum")
        self.percentile, self.directed = percentile, directed

    def value(self, distances: SurfaceDistances) -> torch.Tensor:
        largest = distances.maximum() if self.percentile in (None, 100) else self._percentile(distances)
        return largest[..., 0] if self.directed else largest.amax(-1)

    def _percentile(self, distances: SurfaceDistances) -> torch.Tensor:
        """Of each direction, ``(B, C, 2)``."""
        shape = (distances.batch, distances.channels, 2)
        if not distances.parts:
            return torch.full(shape, torch.nan, dtype=torch.float64, device=distances.device)
        distance, weight, count = distances.ranked()
        share = (self.percentile or 100) / 100
        start = count.cumsum(0) - count
        last = (start + count - 1).clamp_(min=0)
        if weight is None:
            rank = share * (count - 1).clamp_(min=0).double()
            low = torch.minimum(start + rank.long(), last)
            high = torch.minimum(low + 1, last)
            return torch.lerp(distance[low], distance[high], rank.frac()).view(shape)
        surface = torch.arange(count.shape[0], device=count.device)
        owner = surface.repeat_interleave(count, output_size=distance.shape[0])
        heaviest = max(part.heaviest for part in distances.parts)
        reached = _cumulated(Values(owner, weight, heaviest), start)
        # A share that is reached exactly must not be missed by rounding: 19 of 20 equal elements are 95 per cent.
        wanted = share * reached[last] * (1 - 1e-12)
        index = start + histogram(owner[reached < wanted.index_select(0, owner)], count.shape[0])
        return distance[torch.minimum(index, last)].view(shape)


def _cumulated(weights: Values, start: torch.Tensor) -> torch.Tensor:
    """Weights cumulated within each surface: ``(K,)``, float64.

    They are summed as whole numbers, so that neither rounding nor the other surfaces, which may be larger by far, have
    a part in where a share of a surface is reached.

    Args:
        weights: of the elements, by surface.
        start: first element of each surface, ``(S,)``.
    """
    cumulated = torch.zeros_like(weights.value)
    for whole, unit in whole_parts(weights):
        sums = whole.cumsum(0)
        before = torch.where(start > 0, sums[(start - 1).clamp_(min=0)], 0)
        cumulated.add_(sums.sub_(before.index_select(0, weights.owner)).double(), alpha=unit)
    return cumulated
