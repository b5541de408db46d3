"""Clean up each class by itself, in label maps and in masks that overlap alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.data.meta_obj import get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor


class EachClass(Transform):
    """Apply a transform that takes objects away to the mask of each class by itself.

    MONAI's own on several classes: `RemoveSmallObjects` counts all pixels of a class in a label map as one object, and
    joins the objects of neighbouring classes in masks, so that a speck on another class's object stays;
    `KeepLargestConnectedComponent` takes the first mask for background and leaves it as it is.

    Args:
        transform: gets one mask ``(1, H, W[, D])`` of 0 and 1 and gives it back with objects set to 0, such as
            ``RemoveSmallObjects(20)`` or ``KeepLargestConnectedComponent()``.

    Shape:
        labels ``(1, H, W[, D])`` class indices, or ``(C, H, W[, D])`` masks of 0 and 1. Gives the same, cleaned up.

    Raises:
        ValueError: the transform adds pixels to a class; which class would give way is not said.
    """

    def __init__(self, transform: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.transform = transform

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        labels = convert_to_tensor(labels, track_meta=get_track_meta())
        cleaned = convert_to_tensor(labels, track_meta=False).clone()
        for channel in cleaned:
            for label in channel.unique().tolist():
                if label == 0:
                    continue
                mask = channel == label
                # A copy: MONAI's transforms may write into what they are given.
                kept = convert_to_tensor(self.transform(mask[None].to(channel.dtype)), track_meta=False)[0] > 0
                if (kept & ~mask).any():
                    raise ValueError(f"{type(self.transform).__name__} adds pixels; give a transform that takes away")
                channel[mask & ~kept] = 0
        return convert_to_dst_type(cleaned, labels)[0]


class EachClassd(MapTransform):
    """Dictionary form of `EachClass`.

    Args:
        keys: label maps or masks.
        transform: see `EachClass`.
        allow_missing_keys: do not raise where a key is absent.
    """

    backend = EachClass.backend

    def __init__(
        self,
        keys: KeysCollection,
        transform: Callable[[torch.Tensor], torch.Tensor],
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.converter = EachClass(transform)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.converter(sample[key])
        return sample
