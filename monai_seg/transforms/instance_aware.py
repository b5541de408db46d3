"""Transform an image together with its objects, however many: `InstanceAwared`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, Randomizable, Transform
from monai.transforms.traits import RandomizableTrait

from monai_seg.transforms.mask_boxes import masks_to_boxes
from monai_seg.transforms.visible_instances import PER_INSTANCE, check_limits, kept_instances, pixel_counts

Sample = dict[Hashable, Any]
_KEYS = ("image", "mask")


class InstanceAwared(MapTransform):
    """Let a transform of MONAI change ``image`` and ``mask`` alike, and make the rest of the objects agree with it.

    The masks are what is transformed, as one image of N channels; boxes are made anew from what comes out. An object
    that is cut away, or of which too little is left, goes with its box and its class. An image without any object is
    transformed too, where MONAI's own transforms stop at a tensor of no channel.

    Masks are cut at one half where the transform interpolates them, so that any mode will do: ``nearest`` copies
    values, but shrinking with it moves objects (MONAI's `Resized` from 512 to 192 pixels by 1.2 pixels on average,
    which boxes and masks then learn); ``bilinear`` does not. What changes intensities alone needs no wrapper.

    With a random transform inside it is random itself (a `RandInstanceAwared`), with a fixed one it is fixed, and
    MONAI's `CacheDataset` keeps what it made.

    Args:
        transform: a dictionary transform, or a `Compose` of several, on the keys ``image`` and ``mask``.
        min_size: pixels or voxels below which an object is dropped; 0 keeps also what is empty.
        min_visible: share of an object below which what is left of it is dropped; it may shrink with the image.
        keys: of the image and of the masks.

    Shape:
        as `LoadInstancesd` leaves them.

    Raises:
        ValueError: the limits are out of range; or, while it runs, image and masks come out of different sizes.

    Example:
        >>> from monai.transforms import Flipd
        >>> sample = {"image": torch.zeros(1, 4, 4), "mask": torch.zeros(1, 4, 4, dtype=torch.uint8)}
        >>> sample["mask"][0, 0, 1] = 1
        >>> sample |= {"label": torch.tensor([0]), "crowd": torch.tensor([False])}
        >>> InstanceAwared(Flipd(["image", "mask"], spatial_axis=0))(sample)["box"].tolist()
        [[3.0, 1.0, 4.0, 2.0]]
    """

    def __new__(cls, transform: Callable[[Sample], Sample] | None = None, *args: Any, **kwargs: Any) -> InstanceAwared:
        # Asked by its class alone, a cache would take every wrapper for a random one, or none.
        return super().__new__(RandInstanceAwared if cls is InstanceAwared and is_random(transform) else cls)

    def __init__(
        self,
        transform: Callable[[Sample], Sample],
        min_size: int = 1,
        min_visible: float = 0.0,
        keys: KeysCollection = _KEYS,
    ) -> None:
        super().__init__(keys)
        check_limits(min_size, min_visible)
        self.transform, self.min_size, self.min_visible = transform, min_size, min_visible

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        image_key, mask_key = self.keys
        sample = dict(data)
        before = sample[mask_key]
        if not len(before):
            sample[mask_key] = before.new_zeros((1, *before.shape[1:]))
        sample = dict(self.transform(sample))
        mask = sample[mask_key] if len(before) else sample[mask_key][:0]
        _refuse_different_sizes(sample[image_key], mask)
        sample[mask_key] = (mask >= 0.5).to(torch.uint8)
        kept = self._kept(before, sample[mask_key])
        sample = kept_instances(sample, kept, [mask_key, *(key for key in PER_INSTANCE if key in sample)])
        return sample | {"box": masks_to_boxes(sample[mask_key])}

    def _kept(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        pixels = pixel_counts(after)
        kept = pixels >= self.min_size
        if self.min_visible and len(before):
            kept &= pixels >= self.min_visible * pixel_counts(before) * _volume_ratio(before, after)
        return kept


class RandInstanceAwared(Randomizable, InstanceAwared):
    """`InstanceAwared` with a random transform inside; there is no need to name it.

    Args:
        transform, min_size, min_visible, keys: as there.
    """

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandInstanceAwared:
        """Seed the transform within."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        """What is drawn, the transform within draws."""


def is_random(transform: Any) -> bool:
    """Whether two calls may differ; what is no transform of MONAI may do anything."""
    if type(transform) is Compose:  # its subclasses draw themselves, as `OneOf` does
        return any(is_random(each) for each in transform.transforms)
    return isinstance(transform, RandomizableTrait) or not isinstance(transform, Transform)


def _refuse_different_sizes(image: torch.Tensor, mask: torch.Tensor) -> None:
    if image.shape[1:] != mask.shape[1:]:
        raise ValueError(
            f"the image has come out as {tuple(image.shape[1:])}, its masks as {tuple(mask.shape[1:])}\n"
            "  mend   give the transform within both keys, image and mask"
        )


def _volume_ratio(before: Any, after: Any) -> float:
    """How many pixels one pixel has become, by the affines; 1 where they are not tracked."""
    if not (hasattr(before, "affine") and hasattr(after, "affine")):
        return 1.0
    dims = before.ndim - 1
    volumes = [float(torch.linalg.det(each.affine[:dims, :dims].double()).abs()) for each in (before, after)]
    return volumes[0] / volumes[1] if min(volumes) > 0 else 1.0
