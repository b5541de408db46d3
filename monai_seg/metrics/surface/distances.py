"""The distances between two surfaces, and what is averaged or ranked of them."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

import torch

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.overlap_counts import histogram
from monai_seg.metrics.surface.areas import element_areas
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.lattice import CORNERS
from monai_seg.metrics.surface.nearest import nearest_distances
from monai_seg.metrics.whole_sums import Values, whole_sums


@dataclass(frozen=True)
class DistancePart:
    """Some surface elements.

    Attributes:
        surface: as in `nearest_distances`, ``(K,)``.
        code, weight: of each element, ``(K,)``; None for border voxels, which weigh 1.
        distance: to the other surface, in mm, ``(K,)``.
        heaviest: no weight is larger.
        farthest: no distance is larger, but infinity.
    """

    surface: torch.Tensor
    code: torch.Tensor | None
    weight: torch.Tensor | None
    distance: torch.Tensor
    heaviest: float
    farthest: float

    def weights(self) -> Values:
        """By surface."""
        weight = torch.ones_like(self.distance) if self.weight is None else self.weight
        return Values(self.surface, weight, self.heaviest)

    def moments(self) -> Values:
        """Weight times distance, by surface."""
        moment = self.distance if self.weight is None else self.weight * self.distance
        return Values(self.surface, moment, self.heaviest * self.farthest)


class SurfaceDistances:
    """The distance of each surface element to the other surface.

    Args:
        parts: the elements.
        batch, channels: cases and scored classes.
        device: of the elements.
    """

    def __init__(self, parts: list[DistancePart], batch: int, channels: int, device: torch.device) -> None:
        self.parts, self.batch, self.channels, self.device = parts, batch, channels, device

    @property
    def surfaces(self) -> int:
        """Number of surfaces: cases times classes times two sides."""
        return 2 * self.batch * self.channels

    def counts(self) -> torch.Tensor:
        """Number of elements of each surface: ``(B, C, 2)``, int64; prediction first."""
        counts = torch.zeros(self.surfaces, dtype=torch.int64, device=self.device)
        for part in self.parts:
            counts += histogram(part.surface, self.surfaces)
        return counts.view(self.batch, self.channels, 2)

    def sums(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight of each surface, and sum of weight times distance: ``(B, C, 2)`` each, float64; prediction first."""
        shape = (self.batch, self.channels, 2)
        weights = whole_sums([part.weights() for part in self.parts], self.surfaces, self.device)
        moments = whole_sums([part.moments() for part in self.parts], self.surfaces, self.device)
        return weights.view(shape), moments.view(shape)

    def maximum(self) -> torch.Tensor:
        """Largest distance of each surface to the other: ``(B, C, 2)``, float64; -infinity without elements."""
        largest = torch.full((self.surfaces,), -torch.inf, dtype=torch.float64, device=self.device)
        for part in self.parts:
            largest.scatter_reduce_(0, part.surface, part.distance, "amax")
        return largest.view(self.batch, self.channels, 2)

    def ranked(self) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Distances ``(K,)`` by surface and, within it, ascending; their weights; number of each surface ``(S,)``."""
        surface = torch.cat([part.surface for part in self.parts])
        distance, order = torch.cat([part.distance for part in self.parts]).sort(stable=True)
        by_surface = surface[order].sort(stable=True)[1]
        weights = [part.weight for part in self.parts if part.weight is not None]
        weight = torch.cat(weights)[order[by_surface]] if weights else None
        return distance[by_surface], weight, self.counts().flatten()


def surface_elements(comparison: Comparison, kind: str) -> SurfaceElements:
    """The surface elements of a batch; ask `Comparison.once` for them."""
    return SurfaceElements(comparison.masks, kind)


def surface_distances(comparison: Comparison, kind: str) -> SurfaceDistances:
    """The distances of a batch; ask `Comparison.once` for them."""
    elements = comparison.once(surface_elements, kind)
    spacing = comparison.map_spacing
    parts = []
    for size in dict.fromkeys(spacing):
        areas = element_areas(size) if kind == CORNERS else torch.ones(1)
        heaviest, farthest = areas.max().item(), math.hypot(*map(operator.mul, elements.lattice.shape, size))
        areas = areas.to(elements.device)
        maps = [index for index, each in enumerate(spacing) if each == size]
        for surface, code, distance in nearest_distances(elements, maps, size):
            weight = None if code is None else areas.index_select(0, code.long())
            parts.append(DistancePart(surface, code, weight, distance, heaviest, farthest))
    return SurfaceDistances(parts, comparison.masks.batch, comparison.masks.channels, elements.device)
