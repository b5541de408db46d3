"""Boxes from masks: the one place where a box comes from, so that it never disagrees with its object."""

from __future__ import annotations

import torch


def masks_to_boxes(mask: torch.Tensor) -> torch.Tensor:
    """The smallest box around each mask.

    Args:
        mask: one channel per object; what is not 0 belongs to it.

    Shape:
        mask ``(N, H, W[, D])``. Gives ``(N, 4)`` or ``(N, 6)``, float32, on its device: the first edge along
        each axis, then the last ones, as MONAI's ``StandardMode`` has them. Rows 2 to 5 reach from edge 2 to edge 6.
        An empty mask has zeros.

    Example:
        >>> mask = torch.zeros(1, 8, 8)
        >>> mask[0, 2:6, 1] = 1
        >>> masks_to_boxes(mask).tolist()
        [[2.0, 1.0, 6.0, 2.0]]
    """
    inside = (mask.as_tensor() if hasattr(mask, "as_tensor") else mask) != 0
    spatial_dims = inside.ndim - 1
    edges = torch.zeros((len(inside), 2 * spatial_dims), dtype=torch.float32, device=inside.device)
    if not inside.numel():
        return edges
    for axis in range(spatial_dims):
        others = tuple(other + 1 for other in range(spatial_dims) if other != axis)
        touched = inside.any(dim=others[0]) if len(others) == 1 else inside.amax(dim=others)
        length = touched.shape[1]
        place = torch.arange(length, device=inside.device)
        edges[:, axis] = torch.where(touched, place, length).amin(dim=1)
        edges[:, spatial_dims + axis] = torch.where(touched, place + 1, 0).amax(dim=1)
    edges[edges[:, spatial_dims] == 0] = 0
    return edges
