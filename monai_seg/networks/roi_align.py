"""Features of boxes in pictures and volumes, by interpolation: `roi_align` and its converse, `paste_masks`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import grid_sample


def roi_align(
    features: torch.Tensor,
    boxes: Sequence[torch.Tensor],
    output_size: int,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
) -> torch.Tensor:
    """Average the features in each cell of a grid that divides a box.

    torchvision has this for pictures; for volumes there is nothing in plain PyTorch.

    Args:
        features: of a batch of images.
        boxes: of each image of the batch, in edges of its pixels.
        output_size: cells along each axis.
        spatial_scale: pixels of the features per pixel of the image, such as 1/4.
        sampling_ratio: points along each axis of a cell over which the average goes.

    Shape:
        features ``(B, C, H, W[, D])``; boxes ``(N, 4)`` or ``(N, 6)``: first edges along each axis, then last ones.
        Gives ``(N of all images, C, output_size, ...)`` in the dtype of the features.

    Source:
        arXiv:1703.06870. In 2D equal to ``torchvision.ops.roi_align`` with ``aligned=True``, values and gradients.
    """
    dims = features.ndim - 2
    parts = [
        _sampled(features[index : index + 1], box.to(features.device) * spatial_scale, output_size * sampling_ratio)
        for index, box in enumerate(boxes)
        if len(box)
    ]
    if not parts:
        none = features.new_zeros((0, features.shape[1], *[output_size] * dims))
        return none + (0 * features.sum()).to(features.dtype)  # leads to all that made the features
    points = torch.cat(parts)
    average = torch.nn.functional.avg_pool2d if dims == 2 else torch.nn.functional.avg_pool3d
    return average(points, sampling_ratio)


def _sampled(feature: torch.Tensor, box: torch.Tensor, count: int) -> torch.Tensor:
    """The features ``(N, C, count, ...)`` at evenly spaced points of boxes ``(N, 2 * dims)`` of one image."""
    size = feature.shape[2:]
    dims = len(size)
    steps = (torch.arange(count, device=box.device, dtype=torch.float32) + 0.5) / count
    low, length = box[:, :dims].float(), (box[:, dims:] - box[:, :dims]).float()
    # Along each axis (N, count): a pixel has its centre at half of it.
    places = [low[:, axis, None] + steps * length[:, axis, None] - 0.5 for axis in range(dims)]
    outside = [(place < -1) | (place > extent) for place, extent in zip(places, size, strict=True)]
    scaled = [(2 * place + 1) / extent - 1 for place, extent in zip(places, size, strict=True)]
    shape = (len(box), *[count] * dims)
    grid = torch.stack([_along(each, axis, dims).expand(shape) for axis, each in enumerate(scaled)][::-1], dim=-1)
    # One long grid for all boxes: the features of an image are neither copied nor summed once for each box.
    values = grid_sample(
        feature.float(), grid.reshape(1, -1, *grid.shape[2:]), padding_mode="border", align_corners=False
    )
    values = values.reshape(feature.shape[1], *shape).movedim(0, 1)
    hidden = torch.zeros(shape, dtype=torch.bool, device=box.device)
    for axis, each in enumerate(outside):
        hidden = hidden | _along(each, axis, dims)
    return values.masked_fill(hidden[:, None], 0.0).to(feature.dtype)


def _along(values: torch.Tensor, axis: int, dims: int) -> torch.Tensor:
    """``(N, count)`` as ``(N, 1, count, 1)``, for this axis of several."""
    return values.reshape(len(values), *[values.shape[1] if other == axis else 1 for other in range(dims)])


def paste_masks(
    probabilities: torch.Tensor, boxes: torch.Tensor, size: Sequence[int], threshold: float = 0.5
) -> torch.Tensor:
    """Put the small mask of each box where the box lies.

    Args:
        probabilities: of belonging to the object, in each cell of a grid that divides the box.
        boxes: in edges of the image's pixels.
        size: of the image.
        threshold: probability from which a pixel belongs to the object.

    Shape:
        probabilities ``(N, M, M[, M])``, boxes ``(N, 4)`` or ``(N, 6)``. Gives ``(N, *size)`` uint8.
    """
    dims = len(size)
    masks = torch.zeros((len(boxes), *size), dtype=torch.uint8, device=probabilities.device)
    for mask, small, box in zip(masks, probabilities.float(), boxes.tolist(), strict=True):
        low = [max(0, math.floor(edge)) for edge in box[:dims]]
        high = [min(length, math.ceil(edge)) for edge, length in zip(box[dims:], size, strict=True)]
        if any(first >= last for first, last in zip(low, high, strict=True)):
            continue
        lines = [
            (2 * (torch.arange(first, last, device=mask.device) + 0.5 - edge) / max(end - edge, 1e-6)) - 1
            for first, last, edge, end in zip(low, high, box[:dims], box[dims:], strict=True)
        ]
        grid = torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], dim=-1)
        inside = (grid.abs() <= 1).all(dim=-1)
        values = grid_sample(small[None, None], grid[None], padding_mode="border", align_corners=False)[0, 0]
        mask[tuple(slice(first, last) for first, last in zip(low, high, strict=True))] = (values >= threshold) & inside
    return masks
