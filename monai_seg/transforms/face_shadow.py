"""A shadow that something casts on a face (`FaceShadow`), with the exact mask of where it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms import Transform
from monai.utils.type_conversion import convert_to_tensor
from numpy.random import RandomState

from monai_seg.transforms.face_shadow_light import (
    LUMINANCE,
    SCATTERING_WIDTH,
    FaceFrame,
    blur,
    drape,
    draw,
    smooth_noise,
    soften,
    to_linear,
    to_srgb,
)
from monai_seg.transforms.face_shadow_silhouettes import OCCLUDERS, Outline, silhouette

NO_SHADOW = "none"


@dataclass(frozen=True)
class FaceShadow(Transform):
    """Cast the shadow of a hand, a brim, foliage, a blind or a nameless patch on a face, and say where it lies.

    The silhouette is drawn from its seed, placed, softened by a penumbra that widens across the face, and draped over
    the relief of a head. Where it is, the direct light is taken away and the ambient light stays. This is done in
    linear light: sRGB is undone before and done again afterwards. Along the edge, light wanders in the skin, red
    farthest, so that a red rim lies inside the shadow. A pixel that keeps all its light keeps its bits.

    Lengths are in half heights of the face, so that the parameters mean the same at every size of the image.

    Args:
        kind: of silhouette, a key of `OCCLUDERS`, or ``"none"``: the image stays as it is and the mask is empty.
        seed: of the silhouette's form and of the variation.
        angle_rad: by which the silhouette is turned clockwise.
        scale: of the silhouette.
        row_shift: by which the silhouette is moved down.
        col_shift: by which the silhouette is moved to the right.
        penumbra_near: standard deviation of the blur where the occluder is nearest to the face.
        penumbra_far: the same where it is farthest.
        penumbra_rad: direction from the nearest to the farthest, from the column axis towards the row axis.
        light_slope: how obliquely the light falls in: sideways way for each unit of depth, 0 = along the view.
        light_rad: direction of that way, from the column axis towards the row axis.
        ambient_red: share of the red light that is ambient and stays in full shadow, 0 to 1.
        ambient_green: the same of green light.
        ambient_blue: the same of blue light; the ambient light of a blue sky has more of it than of red.
        variation: how much the ambient light differs over the face: 0.3 = up to 30 % more or less.
        scattering: standard deviation of the way of red light in the skin; green and blue go less far.
        spill: share of the shadow that lies outside the face too: 1 = all of it, 0 = the background is lit.
        face_row: centre of the face, as a share of the image's height.
        face_col: centre of the face, as a share of the image's width.
        face_half_height: of the face, as a share of the image's height.
        face_half_width: of the face, as a share of the image's width.

    Shape:
        image ``(C, H, W)`` with C = 1 (grey) or 3 (red, green, blue), float, sRGB values in [0, 1]. Three equal
        channels are a grey photograph too, and stay equal: a colour there would betray the shadow. Gives the image in
        shadow and the mask ``(1, H, W)`` in the image's dtype: 1 at the pixels of the face region whose occlusion,
        the share of the direct light that the silhouette takes away before scattering, is above 0.5; 0 elsewhere.

    Raises:
        ValueError: a parameter or a value of the image is out of its range, or a shape does not fit.

    Source:
        Zhang et al., Portrait Shadow Manipulation, SIGGRAPH 2020, arXiv:2005.08925 (silhouettes, blur that varies in
        space, scattering as a blur of each colour, variation of the shadow's intensity); Futschik et al., Controllable
        Light Diffusion for Portraits, CVPR 2023, arXiv:2305.04745 (shadows that follow the form of the face); d'Eon
        and Luebke, GPU Gems 3, chapter 14, 2007 (light in skin as Gaussians, the widest in red).

    Example:
        >>> shadow = FaceShadow(kind="hand", seed=3, penumbra_far=0.1)
        >>> image, mask = shadow(torch.full((3, 64, 48), 0.8))
        >>> tuple(mask.shape), sorted(set(mask.flatten().tolist()))
        ((1, 64, 48), [0.0, 1.0])
    """

    kind: str
    seed: int
    angle_rad: float = 0.0
    scale: float = 1.0
    row_shift: float = 0.0
    col_shift: float = 0.0
    penumbra_near: float = 0.01
    penumbra_far: float = 0.05
    penumbra_rad: float = 0.0
    light_slope: float = 0.0
    light_rad: float = 0.0
    ambient_red: float = 0.25
    ambient_green: float = 0.27
    ambient_blue: float = 0.31
    variation: float = 0.2
    scattering: float = 0.015
    spill: float = 1.0
    face_row: float = 0.5
    face_col: float = 0.5
    face_half_height: float = 0.46
    face_half_width: float = 0.38

    def __post_init__(self) -> None:
        if self.kind not in (NO_SHADOW, *OCCLUDERS):
            raise ValueError(f"kind is {self.kind!r}; give one of {', '.join(OCCLUDERS)} or {NO_SHADOW}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.startswith("ambient") or field.name in ("variation", "spill"):
                if not 0 <= value <= 1:
                    raise ValueError(f"{field.name} is {value}; give a share between 0 and 1")
            elif field.name in ("scale", "face_half_height", "face_half_width") and not 0 < value < math.inf:
                raise ValueError(f"{field.name} is {value}; give a size above 0")
        if not 0 < self.penumbra_near <= self.penumbra_far < math.inf:
            raise ValueError(
                f"penumbra_near is {self.penumbra_near} and penumbra_far {self.penumbra_far}; "
                "give two widths above 0, the far one at least as large as the near one"
            )
        if not 0 <= self.scattering < math.inf:
            raise ValueError(f"scattering is {self.scattering}; give a width of 0 or more")

    def __call__(self, image: torch.Tensor, face: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Cast the shadow.

        Args:
            image: the photograph.
            face: the face region ``(1, H, W)``, what is above 0.5; without it the ellipse of the parameters.
        """
        image = convert_to_tensor(image, track_meta=get_track_meta())
        require_photograph(image)
        values = image.as_tensor() if isinstance(image, MetaTensor) else image
        shape = (values.shape[-2], values.shape[-1])
        region = None if face is None else require_region(face, shape)
        if self.kind == NO_SHADOW:
            mask = values.new_zeros(1, *shape)
        else:
            # On the CPU wherever the image lies, so that the mask is the same on every device.
            occlusion, mask_values = self.occlusion(shape, region)
            mask = torch.from_numpy(mask_values).to(values)[None]
            values = self.shade(values, occlusion)
        if isinstance(image, MetaTensor):
            return MetaTensor(values).copy_meta_from(image), MetaTensor(mask).copy_meta_from(image)
        return values, mask

    def occlusion(self, shape: tuple[int, int], region: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Share of the direct light taken away at each pixel, and whether the pixel belongs to the mask."""
        frame = self.frame(*shape)
        cover = draw(frame, self.outlines())
        soft = soften(frame, cover, self.penumbra_near, self.penumbra_far, self.penumbra_rad)
        occlusion = drape(frame, soft, self.light_slope, self.light_rad)
        region = frame.ellipse() <= 1 if region is None else region
        if self.spill < 1:
            occlusion = np.where(region, occlusion, occlusion * np.float32(self.spill))
        return occlusion, (occlusion > 0.5) & region

    def frame(self, height: int, width: int) -> FaceFrame:
        return FaceFrame(
            height,
            width,
            self.face_row * height,
            self.face_col * width,
            self.face_half_height * height,
            self.face_half_width * width,
        )

    def outlines(self) -> list[Outline]:
        """Polygons of the silhouette in its place, in half heights from the centre of the face."""
        sin, cos = math.sin(self.angle_rad) * self.scale, math.cos(self.angle_rad) * self.scale
        turn, shift = np.array([[cos, sin], [-sin, cos]]), np.array([self.col_shift, self.row_shift])
        return [outline @ turn + shift for outline in silhouette(self.kind, self.seed)]

    def shade(self, image: torch.Tensor, occlusion: np.ndarray) -> torch.Tensor:
        """Composite in linear light what is left of it."""
        frame = self.frame(*occlusion.shape)
        # A stream of its own, so that the silhouette may use as many numbers as it likes.
        uneven = 1 + self.variation * smooth_noise(frame, RandomState((self.seed + 1) % 2**32))
        ambient = (self.ambient_red, self.ambient_green, self.ambient_blue)
        kept = []
        for share, width in zip(ambient, SCATTERING_WIDTH, strict=True):
            taken = blur(occlusion, self.scattering * width * frame.half_height)
            kept.append(1 - taken * (1 - np.clip(share * uneven, 0, 1)))
        light = np.tensordot(LUMINANCE, kept, axes=1)[None] if is_grey(image) else np.stack(kept)
        factor = torch.from_numpy(light.astype(np.float32)).to(image.device)
        exact = image.to(torch.promote_types(image.dtype, torch.float32))
        shaded = to_srgb(to_linear(exact) * factor)
        return torch.where(factor < 1, shaded, exact).to(image.dtype)


def is_grey(image: torch.Tensor) -> bool:
    """Whether a photograph ``(1 or 3, H, W)`` has no colour."""
    return bool((image == image[:1]).all())


def require_photograph(image: torch.Tensor) -> None:
    """Refuse what is no float image ``(1 or 3, H, W)`` with values in [0, 1]."""
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.numel() == 0:
        raise ValueError(
            f"the image has the shape {tuple(image.shape)}; give (1, H, W) for grey or (3, H, W) for red, green, blue"
        )
    if not image.is_floating_point():
        raise ValueError(f"the image has the dtype {image.dtype}; scale it to float values in [0, 1] first")
    low, high = image.min().item(), image.max().item()
    if not (low >= 0 and high <= 1):  # so that NaN is refused too
        raise ValueError(f"the image's values lie between {low:.4g} and {high:.4g}; scale them to [0, 1] first")


def require_region(face: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """The face region ``(H, W)`` as booleans."""
    if tuple(face.shape) != (1, *shape):
        raise ValueError(f"the face region has the shape {tuple(face.shape)}, the image needs {(1, *shape)}")
    return np.asarray(torch.as_tensor(face).detach().cpu() > 0.5)[0]
