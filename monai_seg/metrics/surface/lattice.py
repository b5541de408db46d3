"""Places and surface elements, in the flat order in which maps are worked on.

Maps are laid out one after another in a flat buffer, with a layer of zeros after each axis. A neighbour is then a
fixed number of places away, also across the border of an image, where the zeros stand for what lies outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

# What a surface element is: a corner of the voxel grid at which a class begins or ends, as in the reference
# implementation of the surface distance; or a voxel with a face on the outside, as in MONAI.
CORNERS, VOXELS = "corners", "voxels"


@dataclass(frozen=True)
class Lattice:
    """The flat order of all places of a batch: by map, then prediction before reference, then by axis.

    Attributes:
        shape: of one map, in voxels.
        maps: number of maps of each side, N.
    """

    shape: tuple[int, ...]
    maps: int

    @cached_property
    def padded(self) -> tuple[int, ...]:
        """Places along each axis: one more than voxels, and whole words of eight along the last."""
        return (*(size + 1 for size in self.shape[:-1]), -(-(self.shape[-1] + 1) // 8) * 8)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Places from one index to the next, along each axis."""
        return tuple(math.prod(self.padded[axis + 1 :]) for axis in range(len(self.padded)))

    @property
    def places(self) -> int:
        """Places of one map."""
        return math.prod(self.padded)


@dataclass(frozen=True)
class Piece:
    """Some surface elements.

    Attributes:
        place: flat index in the `Lattice`, ``(K,)``, int64: of the corner at which the element sits, which has the
            number of the voxel after it; of the voxel itself where elements are border voxels.
        label: class, counted from ``first_class + 1``, ``(K,)``, uint8; None where there is but one class.
        code: which of the voxels around the corner belong to the mask, ``(K,)``, uint8; None for border voxels.
        first_class: 0, or more where there are more classes than a byte holds.
    """

    place: torch.Tensor
    label: torch.Tensor | None
    code: torch.Tensor | None
    first_class: int = 0

    def classes(self) -> torch.Tensor | int:
        """Class of each element, from 0: ``(K,)``, int64, or the one class of all."""
        return self.first_class if self.label is None else self.label.long().add_(self.first_class - 1)
