"""One shadow for each photograph, always the same: `FaceShadowd`, for validation and test."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_seg.transforms.face_shadow_random import FaceShadowRanges, RandFaceShadowd


class FaceShadowd(MapTransform):
    """Cast on each photograph the shadow that its own pixels and ``seed`` draw.

    Nothing else has a say in it: not the order of the cases, the number of workers, or where the files lie. So a test
    set of photographs has masks that stay the same from run to run. It is not random in the sense of MONAI, and a
    `CacheDataset` caches what it gives.

    Args:
        keys: of the images, as in `RandFaceShadowd`; the pixels of the first one count.
        mask_key: where the mask goes; a sample that comes with a mask stays as it is.
        face_key: of a face region ``(1, H, W)``; by default the face is an ellipse.
        prob: share of the photographs that get a shadow.
        ranges: from where the parameters are drawn; `FaceShadowRanges` by default.
        seed: another one gives other shadows.
        parameters_key: where the parameters go, as plain numbers and texts.
        allow_missing_keys: whether an image may be missing.

    Shape:
        as `RandFaceShadowd`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str = "label",
        face_key: str | None = None,
        prob: float = 1.0,
        ranges: FaceShadowRanges | None = None,
        seed: int = 0,
        parameters_key: str = "face_shadow",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if seed < 0:
            raise ValueError(f"seed is {seed}; give a whole number from 0 upwards")
        self.seed = seed
        # A new one for each call: datasets fill their cache by several threads, which must not share a generator.
        self.new_caster = partial(
            RandFaceShadowd, keys, mask_key, face_key, prob, ranges, parameters_key, allow_missing_keys
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        caster = self.new_caster()
        present = list(self.key_iterator(dict(data)))
        if present:
            caster.set_random_state(content_seed(data[present[0]], self.seed))
        return caster(data)


def content_seed(image: torch.Tensor, seed: int) -> int:
    """Seed in [0, 2**32) from the pixels of an image in [0, 1], to the 8 bits that a file holds, and a seed."""
    pixels = np.rint(255 * np.asarray(torch.as_tensor(image).cpu(), dtype=np.float64)).astype(np.uint8)
    return int(np.random.SeedSequence([seed, zlib.crc32(pixels.tobytes())]).generate_state(1)[0])
