"""Make boxes, classes and masks agree after the masks have changed: `MasksToBoxesd`, and what wrappers share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_seg.transforms.mask_boxes import masks_to_boxes

PER_INSTANCE = ("label", "crowd")


class MasksToBoxesd(MapTransform):
    """Make the boxes anew from the masks, and drop the objects of which too little is left.

    Put it behind a transform that changes masks outside of `InstanceAwared`.

    Args:
        keys: what else the sample has one of for each object, such as its class; keys that are absent are passed over.
        mask_key: of the masks.
        box_key: where the boxes go.
        min_size: pixels or voxels below which an object is dropped; 0 keeps also empty masks, whose box is all zeros.

    Shape:
        masks ``(N, H, W[, D])``, of which what is not 0 belongs to the object; boxes as of `masks_to_boxes`.

    Raises:
        ValueError: there is not one entry for each mask at one of the keys, or the limit is negative.
    """

    def __init__(
        self,
        keys: KeysCollection = PER_INSTANCE,
        mask_key: str = "mask",
        box_key: str = "box",
        min_size: int = 1,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.mask_key, self.box_key, self.min_size = mask_key, box_key, min_size
        check_limits(min_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        kept = pixel_counts(sample[self.mask_key]) >= self.min_size
        sample = kept_instances(sample, kept, [self.mask_key, *self.key_iterator(sample)])
        return sample | {self.box_key: masks_to_boxes(sample[self.mask_key])}


def check_limits(min_size: int, min_visible: float = 0.0) -> None:
    """Refuse limits that cannot be met.

    Raises:
        ValueError: a limit is out of its range.
    """
    if min_size < 0 or not 0 <= min_visible <= 1:
        raise ValueError(f"min_size is {min_size}, min_visible {min_visible}; give 0 or more pixels, and a share of 1")


def pixel_counts(mask: torch.Tensor) -> torch.Tensor:
    """Pixels or voxels of each mask, ``(N,)`` int64."""
    inside = (mask.as_tensor() if hasattr(mask, "as_tensor") else mask) != 0
    return inside.flatten(1).sum(dim=1)


def kept_instances(sample: Mapping[Hashable, Any], kept: torch.Tensor, keys: Sequence[Hashable]) -> dict[Hashable, Any]:
    """The sample with the chosen objects alone.

    Args:
        sample: image and objects.
        kept: whether to keep each object, ``(N,)`` bool.
        keys: of all that the sample has one of for each object.

    Raises:
        ValueError: the number of objects differs between keys.
    """
    wrong = [f"{len(sample[key])} of {key}" for key in keys if len(sample[key]) != len(kept)]
    if wrong:
        raise ValueError(f"there are {len(kept)} masks, but {', '.join(wrong)}: all must be of the same objects")
    return {**sample, **({} if kept.all() else {key: sample[key][kept] for key in keys})}
