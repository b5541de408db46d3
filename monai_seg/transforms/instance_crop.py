"""Crops that hold an object more often than chance would: `RandCropInstancesd`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import SpatialCrop, SpatialPad
from monai.utils.misc import fall_back_tuple

from monai_seg.transforms.instance_aware import RandInstanceAwared, Sample
from monai_seg.transforms.mask_boxes import masks_to_boxes
from monai_seg.transforms.visible_instances import pixel_counts


class RandCropInstancesd(RandInstanceAwared):
    """Cut a piece of one size out of an image, often such that it holds a chosen object whole.

    The object is drawn among those that are no crowd, all equally often; the piece is drawn among all places that hold
    it whole (or that lie within it, along an axis where it is larger), so that objects do not always lie in the
    middle. Otherwise, and where there is no object, the piece may lie anywhere.

    Args:
        roi_size: of the piece, in pixels or voxels; -1 takes an axis as long as it is. Smaller images are padded.
        pos_prob: how often an object is chosen.
        min_size: pixels or voxels below which what is left of an object is dropped.
        min_visible: share of an object below which what is left of it is dropped.
        value: of the padding of the image; masks are padded with 0.
        keys: of the image and of the masks.

    Shape:
        as `LoadInstancesd` leaves them; gives image ``(C, *roi_size)`` and masks ``(M, *roi_size)``.

    Raises:
        ValueError: a probability or a limit is out of range.
    """

    def __init__(
        self,
        roi_size: Sequence[int] | int,
        pos_prob: float = 0.75,
        min_size: int = 1,
        min_visible: float = 0.0,
        value: float = 0.0,
        keys: KeysCollection = ("image", "mask"),
    ) -> None:
        super().__init__(self._crop, min_size, min_visible, keys)
        if not 0 <= pos_prob <= 1:
            raise ValueError(f"pos_prob is {pos_prob}; give a share of 1")
        self.roi_size, self.pos_prob, self.value = roi_size, pos_prob, value
        self.start: tuple[int, ...] = ()

    def randomize(self, data: Any = None) -> None:
        """Draw the first pixel of the piece along each axis.

        Args:
            data: the sample, padded.
        """
        mask = data[self.keys[1]]
        size = mask.shape[1:]
        last = [length - own for length, own in zip(size, fall_back_tuple(self.roi_size, size), strict=True)]
        low, high = [0] * len(last), last
        counted = pixel_counts(mask) > 0
        if "crowd" in data and len(data["crowd"]) == len(counted):
            counted &= ~torch.as_tensor(data["crowd"])
        if self.R.random_sample() < self.pos_prob and counted.any():
            chosen = int(self.R.choice(counted.nonzero().flatten().cpu().numpy()))
            edges = masks_to_boxes(mask[chosen : chosen + 1])[0].long().tolist()
            first, end = edges[: len(last)], edges[len(last) :]
            own = [length - rest for length, rest in zip(size, last, strict=True)]
            ends = [sorted((stop - length, begin)) for begin, stop, length in zip(first, end, own, strict=True)]
            low = [min(max(a, 0), limit) for (a, _), limit in zip(ends, last, strict=True)]
            high = [min(max(b, 0), limit) for (_, b), limit in zip(ends, last, strict=True)]
        self.start = tuple(int(self.R.randint(a, b + 1)) for a, b in zip(low, high, strict=True))

    def _crop(self, data: Mapping[Hashable, Any]) -> Sample:
        sample = dict(data)
        size = fall_back_tuple(self.roi_size, sample[self.keys[1]].shape[1:])
        for key, value in zip(self.keys, (self.value, 0), strict=True):
            sample[key] = SpatialPad(size, mode="constant", value=value)(sample[key])
        self.randomize(sample)
        end = [first + length for first, length in zip(self.start, size, strict=True)]
        for key in self.keys:
            sample[key] = SpatialCrop(roi_start=self.start, roi_end=end)(sample[key])
        return sample
