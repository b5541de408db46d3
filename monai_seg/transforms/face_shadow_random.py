"""Shadows on faces drawn at random, as training data with exact masks: `RandFaceShadow` and its dictionary forms."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from numpy.random import RandomState

from monai_seg.transforms.face_shadow import NO_SHADOW, FaceShadow, require_photograph, require_region
from monai_seg.transforms.face_shadow_silhouettes import OCCLUDERS

ATTEMPTS = 12
PREVIEW = 64  # pixels along the longer side, on which it is seen whether a shadow lies on the face at all

Range = tuple[float, float]
RANGES = ("penumbra", "light_slope", "ambient", "coolness", "variation", "scattering", "spill", "coverage")


@dataclass(frozen=True)
class FaceShadowRanges:
    """From where the parameters of a `FaceShadow` are drawn, evenly unless it is said otherwise.

    Args:
        kinds: of silhouettes, all equally often; keys of `OCCLUDERS`.
        penumbra: two widths are drawn from it, evenly in their logarithm, and multiplied by the distance of the kind;
            the smaller one is the near one.
        light_slope: how obliquely the light falls in.
        ambient: share of the light that stays in full shadow.
        coolness: how much bluer than the direct light the ambient light is; less than 0 = redder.
        variation: how much the ambient light differs over the face.
        scattering: width of the red rim.
        spill: share of the shadow that lies outside the face too.
        coverage: share of the face that the mask takes; a draw outside is drawn again, at most 12 times in all.
        face: centre row, centre column, half height and half width of the face as shares of the image's height and
            width, where no face region is given. The default suits centred crops.
    """

    kinds: tuple[str, ...] = tuple(OCCLUDERS)
    penumbra: Range = (0.004, 0.1)
    light_slope: Range = (0.0, 0.6)
    ambient: Range = (0.12, 0.5)
    coolness: Range = (-0.05, 0.15)
    variation: Range = (0.1, 0.6)
    scattering: Range = (0.004, 0.03)
    spill: Range = (1.0, 1.0)
    coverage: Range = (0.05, 0.75)
    face: tuple[float, float, float, float] = (0.5, 0.5, 0.46, 0.38)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - set(OCCLUDERS)):
            raise ValueError(f"kinds holds {', '.join(unknown)}; known are {', '.join(OCCLUDERS)}")
        if not self.kinds:
            raise ValueError(f"kinds is empty; give some of {', '.join(OCCLUDERS)}")
        for name in RANGES:
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} runs from {low} to {high}; give the smaller value first")
            if name in ("ambient", "variation", "spill", "coverage") and not 0 <= low <= high <= 1:
                raise ValueError(f"{name} runs from {low} to {high}; give shares between 0 and 1")
        if self.penumbra[0] <= 0:
            raise ValueError(f"penumbra starts at {self.penumbra[0]}; its logarithm is drawn, so give a width above 0")
        if self.ambient[1] * (1 + max(map(abs, self.coolness))) > 1:
            raise ValueError(
                f"ambient up to {self.ambient[1]} with a coolness of {self.coolness} is more light than there is; "
                "lower one of them"
            )

    def shadow(self, rng: RandomState, face: tuple[float, float, float, float] | None = None) -> FaceShadow:
        """Draw one, for a face at a place of its own if need be."""
        kind = str(rng.choice(self.kinds))
        occluder = OCCLUDERS[kind]
        least, most = np.log(self.penumbra)
        widths = np.exp(rng.uniform(least, most, 2)) * occluder.distance
        ambient, coolness = rng.uniform(*self.ambient), rng.uniform(*self.coolness)
        row, col, half_height, half_width = face or self.face
        return FaceShadow(
            kind=kind,
            seed=int(rng.randint(2**31 - 1)),
            angle_rad=rng.uniform(*occluder.angles_rad[rng.randint(len(occluder.angles_rad))]),
            scale=rng.uniform(*occluder.scale),
            row_shift=rng.uniform(*occluder.row_shift),
            col_shift=rng.uniform(*occluder.col_shift),
            penumbra_near=float(widths.min()),
            penumbra_far=float(widths.max()),
            penumbra_rad=rng.uniform(-math.pi, math.pi),
            light_slope=rng.uniform(*self.light_slope),
            light_rad=rng.uniform(-math.pi, math.pi),
            ambient_red=ambient * (1 - coolness),
            ambient_green=ambient,
            ambient_blue=ambient * (1 + coolness),
            variation=rng.uniform(*self.variation),
            scattering=rng.uniform(*self.scattering),
            spill=rng.uniform(*self.spill),
            face_row=row,
            face_col=col,
            face_half_height=half_height,
            face_half_width=half_width,
        )


class RandFaceShadow(RandomizableTransform):
    """Draw a `FaceShadow` and cast it; ``shadow`` is the one drawn last.

    Args:
        prob: probability of a shadow; without one the image stays as it is, and the mask is empty.
        ranges: from where the parameters are drawn; `FaceShadowRanges` by default.

    Shape:
        image ``(C, H, W)``, C = 1 or 3, float in [0, 1]; face region ``(1, H, W)``, if there is one, which replaces
        the ellipse, and whose bounding box says where and how large the face is. An empty one gets no shadow. Gives
        the image and the mask ``(1, H, W)``.
    """

    def __init__(self, prob: float = 0.9, ranges: FaceShadowRanges | None = None) -> None:
        RandomizableTransform.__init__(self, prob)
        self.ranges = ranges or FaceShadowRanges()
        self.shadow = FaceShadow(kind=NO_SHADOW, seed=0)

    def randomize(self, data: tuple[tuple[int, int], np.ndarray | None]) -> None:
        super().randomize(None)
        shape, region = data
        self.shadow = FaceShadow(kind=NO_SHADOW, seed=0)
        if not self._do_transform or (region is not None and not region.any()):
            return
        face = None if region is None else bounding_ellipse(region)
        small, region = preview(shape, region)
        low, high = self.ranges.coverage
        for _ in range(ATTEMPTS):
            self.shadow = self.ranges.shadow(self.R, face=face)
            _, mask = self.shadow.occlusion(small, region)
            inside = self.shadow.frame(*small).ellipse() <= 1 if region is None else region
            if low <= mask.sum() / max(1, inside.sum()) <= high:
                break

    def __call__(
        self, image: torch.Tensor, face: torch.Tensor | None = None, randomize: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cast a shadow on an image; with ``randomize=False`` the one drawn last."""
        if randomize:
            require_photograph(torch.as_tensor(image))
            shape = (int(image.shape[-2]), int(image.shape[-1]))
            self.randomize((shape, None if face is None else require_region(face, shape)))
        return self.shadow(image, face)


class RandFaceShadowd(RandomizableTransform, MapTransform):
    """Draw a `FaceShadow`, cast it on the images of a sample, and leave mask and parameters in the sample.

    ``FaceShadow(**sample["face_shadow"])(image)`` gives the same pixels and mask again, bit for bit; where the sample
    has a face region, give it too. Without a shadow the parameters are those of the kind ``"none"``, so that samples
    with and without one can be collated.

    Args:
        keys: of the images, which get the same shadow and are of one size.
        mask_key: where the mask goes. As a `MetaTensor` it has the affine and the meta data of the first image. A
            sample that comes with a mask has its shadow already: it stays as it is, so that one recipe trains on
            photographs and on pairs of image and mask.
        face_key: of a face region ``(1, H, W)``, as a face parser gives it; by default the face is an ellipse.
        prob: probability of a shadow.
        ranges: from where the parameters are drawn; `FaceShadowRanges` by default.
        parameters_key: where the parameters go, as plain numbers and texts.
        allow_missing_keys: whether an image may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str = "label",
        face_key: str | None = None,
        prob: float = 0.9,
        ranges: FaceShadowRanges | None = None,
        parameters_key: str = "face_shadow",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.mask_key, self.face_key, self.parameters_key = mask_key, face_key, parameters_key
        self.caster = RandFaceShadow(prob, ranges)

    def set_random_state(self, seed: int | None = None, state: RandomState | None = None) -> RandFaceShadowd:
        super().set_random_state(seed, state)
        self.caster.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        if self.mask_key in sample:
            return sample | {self.parameters_key: asdict(FaceShadow(kind=NO_SHADOW, seed=0))}
        face = None if self.face_key is None else sample[self.face_key]
        for place, key in enumerate(self.key_iterator(sample)):
            sample[key], mask = self.caster(sample[key], face, randomize=place == 0)
            if place == 0:
                sample[self.mask_key] = mask
            elif mask.shape != sample[self.mask_key].shape:
                raise ValueError(
                    f"{key} is {tuple(mask.shape[1:])} pixels large, {self.first_key(sample)} "
                    f"{tuple(sample[self.mask_key].shape[1:])}; images that share a shadow are of one size"
                )
        return sample | {self.parameters_key: asdict(self.caster.shadow)}


def preview(shape: tuple[int, int], region: np.ndarray | None) -> tuple[tuple[int, int], np.ndarray | None]:
    """A small shape of the same proportions, and the region in it."""
    step = max(1.0, max(shape) / PREVIEW)
    small = (math.ceil(shape[0] / step), math.ceil(shape[1] / step))
    if region is None:
        return small, None
    rows, cols = (((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(small, shape, strict=True))
    return small, region[rows[:, None], cols]


def bounding_ellipse(region: np.ndarray) -> tuple[float, float, float, float]:
    """Centre row, centre column, half height and half width of a region as shares of the image's height and width."""
    spans = []
    for axis in (0, 1):
        inside = np.flatnonzero(region.any(axis=1 - axis))
        spans.append(((inside[0] + inside[-1] + 1) / 2, (inside[-1] - inside[0] + 1) / 2, region.shape[axis]))
    (row, half_height, height), (col, half_width, width) = spans
    return float(row / height), float(col / width), float(half_height / height), float(half_width / width)
