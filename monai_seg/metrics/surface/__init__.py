"""Metrics of surfaces, exact and on the device of the masks: SurfaceDice, Hausdorff and average distances."""

from monai_seg.metrics.surface.average_distance import AverageSymmetricSurfaceDistance, MeanAverageSurfaceDistance
from monai_seg.metrics.surface.hausdorff import HausdorffDistance
from monai_seg.metrics.surface.surface_dice import SurfaceDice, surface_dice

__all__ = [
    "AverageSymmetricSurfaceDistance",
    "HausdorffDistance",
    "MeanAverageSurfaceDistance",
    "SurfaceDice",
    "surface_dice",
]
