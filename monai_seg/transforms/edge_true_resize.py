"""A resize that smooths before it shrinks, up to the very edge of the image: `EdgeTrueResize` and `EdgeTrueResized`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Resize, Resized
from monai.utils.misc import fall_back_tuple
from monai.utils.type_conversion import convert_to_numpy
from scipy.ndimage import gaussian_filter


class EdgeTrueResize(Resize):
    """MONAI's `Resize` whose anti-aliasing leaves the brightness at the edge as it is.

    MONAI's Gaussian takes what lies outside the image for zero, so that a white photograph of 2,000 pixels comes out at
    256 with a grey rim of three quarters of its brightness. Here the edge values go on outside, as in
    ``skimage.transform.resize``. Where nothing shrinks, both give the same.

    Args:
        as of `Resize`, and as there ``anti_aliasing`` is off by default.

    Shape:
        image ``(C, H, W[, D])``; gives ``(C, *spatial_size)``, float32. Inverted as `Resize` is.
    """

    def __call__(self, img: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        smooth = kwargs.pop("anti_aliasing", None)
        sigma = kwargs.pop("anti_aliasing_sigma", None) or self.anti_aliasing_sigma
        if self.anti_aliasing if smooth is None else smooth:
            img = self._smoothed(img, sigma)
        return super().__call__(img, *args, anti_aliasing=False, **kwargs)

    def _smoothed(self, img: torch.Tensor, sigma: Sequence[float] | float | None) -> torch.Tensor:
        size = img.shape[1:]
        if self.size_mode == "longest":
            wanted: Sequence[float] = [length * self.spatial_size / max(size) for length in size]
        else:
            wanted = fall_back_tuple(self.spatial_size, size)
        factors = [length / max(1, round(new)) for length, new in zip(size, wanted, strict=True)]
        given = [sigma] * len(size) if sigma is None or isinstance(sigma, (int, float)) else list(sigma)
        sigmas = [
            0.0 if factor <= 1 else (factor - 1) / 2 if own is None else float(own)
            for factor, own in zip(factors, given, strict=True)
        ]
        if not any(sigmas):
            return img
        values = convert_to_numpy(img, dtype=np.float32)
        smoothed = torch.from_numpy(gaussian_filter(values, (0.0, *sigmas), mode="nearest")).to(img.device)
        return img.__class__(smoothed).copy_meta_from(img) if isinstance(img, MetaTensor) else smoothed


class EdgeTrueResized(Resized):
    """Dictionary form of `EdgeTrueResize`.

    Args:
        as of MONAI's `Resized`.
    """

    def __init__(self, keys: Any, spatial_size: Sequence[int] | int, size_mode: str = "all", **options: Any) -> None:
        super().__init__(keys, spatial_size, size_mode, **options)
        self.resizer = EdgeTrueResize(spatial_size, size_mode, lazy=self.lazy)
