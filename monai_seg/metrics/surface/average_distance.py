"""Average distances between surfaces."""

from __future__ import annotations

import torch

from monai_seg.metrics.surface.distances import SurfaceDistances
from monai_seg.metrics.surface.hausdorff import SurfaceDistanceMetric


class AverageSymmetricSurfaceDistance(SurfaceDistanceMetric):
    """Average distance of all elements of both surfaces to the other one (ASSD), in mm.

    A large surface weighs more than a small one; `MeanAverageSurfaceDistance` weighs both alike. MONAI's
    ``SurfaceDistanceMetric(symmetric=True)`` is this one with ``definition="monai_border"``.

    Source:
        Heimann et al. 2009; Metrics Reloaded (Maier-Hein et al. 2024).
    """

    def value(self, distances: SurfaceDistances) -> torch.Tensor:
        weights, moments = distances.sums()
        return moments.sum(-1) / weights.sum(-1)


class MeanAverageSurfaceDistance(SurfaceDistanceMetric):
    """Mean of both directed average distances (MASD), in mm.

    Source:
        Benes and Zitova 2015; Metrics Reloaded (Maier-Hein et al. 2024).
    """

    def value(self, distances: SurfaceDistances) -> torch.Tensor:
        weights, moments = distances.sums()
        return (moments / weights).mean(-1)
