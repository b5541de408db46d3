"""SurfaceDice as a handler, as MONAI has one for Dice and for the Hausdorff distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monai.handlers import IgniteMetricHandler
from monai.utils.enums import MetricReduction

from monai_seg.metrics.surface import SurfaceDice as SurfaceDiceMetric


class SurfaceDice(IgniteMetricHandler):
    """`monai_seg.metrics.SurfaceDice` of an engine's output, in the manner of ``monai.handlers.HausdorffDistance``.

    The spacing is read from the affine of each reference, where it is a `MetaTensor`. In the bundles of this project
    `CaseMetric` joins this metric, like any other, to the names of their outputs.

    Args:
        class_thresholds, include_background, distance_metric, reduction, use_subvoxels, definition: as in
            `monai_seg.metrics.SurfaceDice`.
        output_transform: gives prediction and reference of the output, such as ``from_engine(["pred", "label"])``.
        save_details: leave the value of each case and class in ``engine.state.metric_details``.
    """

    def __init__(
        self,
        class_thresholds: Sequence[float],
        include_background: bool = False,
        distance_metric: str = "euclidean",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable = lambda x: x,
        save_details: bool = True,
        use_subvoxels: bool | None = None,
        definition: str = "subvoxel",
    ) -> None:
        metric = SurfaceDiceMetric(
            class_thresholds,
            include_background,
            distance_metric,
            reduction,
            use_subvoxels=use_subvoxels,
            definition=definition,
        )
        super().__init__(metric, output_transform=output_transform, save_details=save_details)
