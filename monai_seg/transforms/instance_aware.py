"""Transform an image together with its objects, however many: `InstanceAwared`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable

from monai_seg.transforms.load_instances import INSTANCE_KEYS
from monai_seg.transforms.mask_boxes import masks_to_boxes


class InstanceAwared(Randomizable, MapTransform):
    """Let a transform of MONAI change ``image`` and ``mask`` alike, and make the rest of the objects agree with it.

    The masks are what is transformed, as one image of N channels with nearest interpolation; boxes are made anew from
    what comes out. An object that is cut away, or of which too little is left, goes with its box and its class. An
    image without any object is transformed too, where MONAI's own transforms stop at a tensor of no channel.

    Args:
        transform: a dictionary transform, or a `Compose` of several, on the keys ``image`` and ``mask``; give ``mask``
            ``mode: nearest`` where a mode is taken.
        min_size: pixels or voxels below which an object is dropped.
        min_visible: share of an object below which what is left of it is dropped; it may shrink with the image.

    Shape:
        as `LoadInstancesd` leaves them.

    Raises:
        ValueError: the limits are out of range.

    Example:
        >>> from monai.transforms import Flipd
        >>> sample = {"image": torch.zeros(1, 4, 4), "mask": torch.eye(4, dtype=torch.uint8)[None] * 0}
        >>> sample["mask"][0, 0, 1] = 1
        >>> sample |= {"label": torch.tensor([0]), "crowd": torch.tensor([False])}
        >>> InstanceAwared(Flipd(["image", "mask"], spatial_axis=0))(sample)["box"].tolist()
        [[3.0, 1.0, 4.0, 2.0]]
    """

    def __init__(
        self,
        transform: Callable[[dict[Hashable, Any]], dict[Hashable, Any]],
        min_size: int = 1,
        min_visible: float = 0.0,
    ) -> None:
        MapTransform.__init__(self, INSTANCE_KEYS)
        if min_size < 1 or not 0 <= min_visible <= 1:
            raise ValueError(f"min_size is {min_size}, min_visible {min_visible}; give 1 or more, and a share of 1")
        self.transform, self.min_size, self.min_visible = transform, min_size, min_visible

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> InstanceAwared:
        """Seed the transform within."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        """What is drawn, the transform within draws."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        before = sample["mask"]
        if not len(before):
            sample["mask"] = before.new_zeros((1, *before.shape[1:]))
        sample = dict(self.transform(sample))
        mask = sample["mask"] if len(before) else sample["mask"][:0]
        sample["mask"] = mask.to(torch.uint8)
        kept = self._kept(before, sample["mask"], sample["image"])
        for key in ("mask", "label", "crowd"):
            sample[key] = sample[key][kept]
        sample["box"] = masks_to_boxes(sample["mask"])
        return sample

    def _kept(self, before: torch.Tensor, after: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        pixels = torch.as_tensor(after).flatten(1).sum(dim=1, dtype=torch.int64)
        kept = pixels >= self.min_size
        if self.min_visible and len(before):
            whole = torch.as_tensor(before).flatten(1).sum(dim=1, dtype=torch.int64) * _volume_ratio(before, after)
            kept &= pixels >= self.min_visible * whole
        return kept


def _volume_ratio(before: Any, after: Any) -> float:
    """How many pixels one pixel has become, by the affines; 1 where they are not tracked."""
    if not (hasattr(before, "affine") and hasattr(after, "affine")):
        return 1.0
    dims = before.ndim - 1
    volumes = [float(torch.linalg.det(each.affine[:dims, :dims].double()).abs()) for each in (before, after)]
    return volumes[0] / volumes[1] if min(volumes) > 0 else 1.0
