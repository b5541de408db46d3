"""Pictures that are all different but of one kind, as aligned faces are, and what people do to copies of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

SIZE = 96


def picture(seed: int, size: int = SIZE) -> Image.Image:
    """The same broad shades in all pictures, and structure of their own at scales that a copy keeps."""
    shared = gaussian_filter(np.random.default_rng(0).normal(size=(size, size)), size / 8, mode="wrap")
    own = np.random.default_rng(1000 + seed)
    layers = [gaussian_filter(own.normal(size=(size, size)), sigma) for sigma in (1.5, 3.0, 6.0)]
    values = 1.2 * shared / shared.std() + sum(layer / layer.std() for layer in layers)
    return Image.fromarray(np.clip(127 + 30 * values, 0, 255).astype(np.uint8))


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round(width - right * width), round(height - bottom * height))
    )


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: recompressed(image, 20),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "cut by 5%": lambda image: cut(image, 0.05, 0.05, 0.05, 0.05),
    "cut by 15%": lambda image: cut(image, 0.15, 0.15, 0.15, 0.15),
    "cut unevenly": lambda image: cut(image, 0.05, 0.13, 0.15, 0.07),
    "mirrored": ImageOps.mirror,
    "mirrored, cut and recompressed": lambda image: recompressed(cut(ImageOps.mirror(image), 0.1, 0.05, 0.05, 0.1), 50),
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda image: image.point([min(255, int(1.2 * value + 15)) for value in range(256)]),
    "other proportions": lambda image: image.resize((image.width, image.height * 3 // 4), Image.Resampling.BICUBIC),
    "in colour": lambda image: image.convert("RGB"),
}


def save(image: Image.Image, path: Path) -> str:
    """Write a picture, folders included, and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return str(path)
