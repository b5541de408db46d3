"""IoU of the bands along the outlines of two masks: overlap that a large interior cannot hide."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.empty_case import apply_empty_policy
from monai_seg.metrics.mask_metric import MaskMetric
from monai_seg.metrics.overlap_counts import overlap_counts


class BoundaryIoU(MaskMetric):
    """Intersection over union of those voxels of both masks that lie close to their mask's outline, in [0, 1].

    A voxel of a mask is close if a voxel outside of the mask or of the image lies at most ``width`` voxels away along
    every axis. The width is in voxels whatever the spacing; `monai_seg.metrics.surface` has distances in mm.

    Args:
        num_classes: see `MaskMetric`.
        dilation_ratio: width of the band as a share of the diagonal of the image in voxels, rounded, at least 1.
        width: width of the band in voxels, instead of the ratio.
        kwargs: see `MaskMetric`.

    Raises:
        ValueError: the ratio is not positive, or the width less than 1.

    Source:
        Cheng et al. 2021, Boundary IoU, arXiv:2103.16562, and its reference implementation
        ``bowenc0221/boundary-iou-api``, whose 3x3 erosions become 3x3x3 ones in 3D.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        dilation_ratio: float = 0.02,
        width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        if not 0 < dilation_ratio < math.inf:
            raise ValueError(f"dilation_ratio is {dilation_ratio}; give a share of the image diagonal above 0")
        if width is not None and (width < 1 or width != int(width)):
            raise ValueError(f"width is {width}; give whole voxels, 1 or more")
        self.dilation_ratio, self.width = dilation_ratio, width

    def per_class(self, comparison: Comparison) -> torch.Tensor:
        masks = comparison.masks
        width = self.width or max(1, round(self.dilation_ratio * math.hypot(*masks.prediction.shape[1:])))
        prediction, reference = (band(labels, width) for labels in (masks.prediction, masks.reference))
        counts = overlap_counts(dataclasses.replace(masks, prediction=prediction, reference=reference))
        value = counts.hit / (counts.predicted + counts.referred - counts.hit)
        # The outermost voxels of a mask are in its band, so that a band is empty only where its mask is.
        return apply_empty_policy(value, counts.predicted == 0, counts.referred == 0)


def band(labels: torch.Tensor, width: int) -> torch.Tensor:
    """Keep the labels within a distance of another label or of the image's edge, and set the others to 0.

    Args:
        labels: whole numbers; 0 is background.
        width: greatest distance along any axis (Chebyshev), in voxels.

    Shape:
        labels ``(N, H, W[, D])``. Gives the same shape and dtype.
    """
    eroded = labels
    for axis in range(1, labels.ndim):
        eroded = _erode(eroded, axis, width)
    return labels.where(eroded == 0, 0)


def _erode(labels: torch.Tensor, axis: int, width: int) -> torch.Tensor:
    """Set labels to 0 that are not the same over ``width`` voxels to both sides along an axis."""
    eroded = torch.zeros_like(labels)
    window = 2 * width + 1
    rest = labels.shape[axis] - window + 1
    if rest <= 0:
        return eroded
    # Labels that are the same over ``reach`` voxels from here on; each step joins two such stretches.
    reach = 1
    while reach < window:
        step = min(reach, window - reach)
        length = labels.shape[axis] - step
        here, there = labels.narrow(axis, 0, length), labels.narrow(axis, step, length)
        labels, reach = here * (here == there), reach + step
    eroded.narrow(axis, width, rest).copy_(labels)
    return eroded
