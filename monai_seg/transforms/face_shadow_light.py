"""How a silhouette becomes a shadow on a face: drawn, softened, draped over the relief, and scattered in the skin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import RandomState
from PIL import Image, ImageDraw
from scipy import ndimage
from torch.nn.functional import grid_sample

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear sRGB
SCATTERING_WIDTH = (1.0, 0.35, 0.15)  # of red, green and blue light in skin, relative to red


@dataclass(frozen=True)
class FaceFrame:
    """Where the face lies in a photograph: it gives the unit of all lengths, half the height of the face.

    Args:
        height: of the photograph, in pixels.
        width: of the photograph, in pixels.
        row: of the centre of the face, in pixels from the upper edge.
        col: of the centre of the face, in pixels from the left edge.
        half_height: of the face, in pixels.
        half_width: of the face, in pixels.
    """

    height: int
    width: int
    row: float
    col: float
    half_height: float
    half_width: float

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the pixels' centres, down ``(H, 1)`` and to the right ``(1, W)``, in half heights of the face."""
        rows = (np.arange(self.height, dtype=np.float32)[:, None] + 0.5 - self.row) / self.half_height
        cols = (np.arange(self.width, dtype=np.float32)[None, :] + 0.5 - self.col) / self.half_height
        return rows, cols

    def ellipse(self) -> np.ndarray:
        """How far out a pixel lies ``(H, W)``: 0 in the centre, 1 on the outline of the face; squared."""
        rows, cols = self.grid()
        return rows**2 + (cols * (self.half_height / self.half_width)) ** 2


def draw(frame: FaceFrame, outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Share of each pixel ``(H, W)`` that the union of polygons covers; corners are x and y in half heights."""
    fine = 4 if max(frame.height, frame.width) <= 320 else 2
    canvas = Image.new("L", (frame.width * fine, frame.height * fine))
    pencil = ImageDraw.Draw(canvas)
    for outline in outlines:
        corners = (outline * frame.half_height + (frame.col, frame.row)) * fine - 0.5
        pencil.polygon(corners.ravel().tolist(), fill=255)
    return np.asarray(canvas.reduce(fine), dtype=np.float32) / 255


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur by ``sigma`` pixels; a wide one is computed on means over squares, which it does not resolve."""
    if sigma < 0.3:  # the kernel would have a single weight that counts
        return field
    factor = 2 ** max(0, math.floor(math.log2(sigma / 2)))
    if factor == 1:
        return ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)
    # One square more on each side, so that the outermost pixels lie between the centres of two.
    padded = np.pad(field, [(factor, factor + -size % factor) for size in field.shape], mode="edge")
    rows, cols = padded.shape[0] // factor, padded.shape[1] // factor
    means = padded.reshape(rows, factor, cols, factor).mean(axis=(1, 3))
    # Averaging and interpolating blur too: by a box, and by about a triangle, as wide as a square.
    rest = math.sqrt((sigma / factor) ** 2 - 1 / 12 - 1 / 6)
    return enlarge(ndimage.gaussian_filter(means, rest, mode="nearest", truncate=3.0), factor, field.shape)


def enlarge(means: np.ndarray, factor: int, shape: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation of means over squares of ``factor`` pixels, of which one more lies on each side."""
    for axis, size in enumerate(shape):
        place = (np.arange(size, dtype=np.float32) + 0.5) / factor + 0.5
        first = place.astype(np.intp)
        weight = (place - first).reshape((-1, 1) if axis == 0 else (1, -1)).astype(np.float32)
        lower = means.take(first, axis)
        means = lower + (means.take(first + 1, axis) - lower) * weight
    return means


def soften(frame: FaceFrame, cover: np.ndarray, near: float, far: float, towards_rad: float) -> np.ndarray:
    """Penumbra whose width grows across the face from ``near`` to ``far`` (standard deviations, in half heights)."""
    levels = 1 + math.ceil(max(0.0, math.log2(far / near)))
    if levels == 1:
        return blur(cover, near * frame.half_height)
    rows, cols = frame.grid()
    way = np.clip(0.5 + 0.5 * (cols * math.cos(towards_rad) + rows * math.sin(towards_rad)), 0, 1) * (levels - 1)
    soft = np.zeros_like(cover)
    for level in range(levels):
        sigma = near * (far / near) ** (level / (levels - 1)) * frame.half_height
        soft += blur(cover, sigma) * np.maximum(0, 1 - np.abs(way - level))
    return soft


def relief(frame: FaceFrame) -> np.ndarray:
    """How far each pixel of a face stands out towards the viewer ``(H, W)``: a round head with a nose and two eyes."""
    rows, cols = frame.grid()
    head = 0.7 * np.maximum(0, 1 - frame.ellipse())
    nose = 0.2 * np.exp(-((cols / 0.13) ** 2)) * np.exp(-(((rows - 0.1) / 0.22) ** 2))
    eyes = 0.08 * np.exp(-(((np.abs(cols) - 0.33) / 0.15) ** 2)) * np.exp(-(((rows + 0.15) / 0.12) ** 2))
    return head + nose - eyes


def drape(frame: FaceFrame, shadow: np.ndarray, slope: float, light_rad: float) -> np.ndarray:
    """Move the shadow as light does that falls in obliquely, by ``slope`` times the height of the relief."""
    if slope == 0:
        return shadow
    shift = relief(frame) * (slope * frame.half_height)
    rows, cols = (np.arange(n, dtype=np.float32) + 0.5 for n in (frame.height, frame.width))
    places = np.empty((1, frame.height, frame.width, 2), dtype=np.float32)  # x and y, from -1 to 1 across the image
    places[0, ..., 0] = (cols[None, :] + shift * math.cos(light_rad)) * (2 / frame.width) - 1
    places[0, ..., 1] = (rows[:, None] + shift * math.sin(light_rad)) * (2 / frame.height) - 1
    moved = grid_sample(
        torch.from_numpy(shadow)[None, None], torch.from_numpy(places), padding_mode="border", align_corners=False
    )
    return moved[0, 0].numpy()


def smooth_noise(frame: FaceFrame, rng: RandomState, cells: int = 4) -> np.ndarray:
    """Slow variation over the photograph ``(H, W)`` within [-1, 1]."""
    lattice = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    rows = np.linspace(0, cells - 1, frame.height, dtype=np.float32)
    cols = np.linspace(0, cells - 1, frame.width, dtype=np.float32)
    return smooth_steps(rows, cells) @ lattice @ smooth_steps(cols, cells).T


def smooth_steps(places: np.ndarray, cells: int) -> np.ndarray:
    """Weights ``(N, cells)`` of the neighbouring lattice values, which change without a kink from one to the next."""
    distance = np.clip(np.abs(places[:, None] - np.arange(cells, dtype=np.float32)), 0, 1)
    return 1 - distance**2 * (3 - 2 * distance)


def to_linear(value: torch.Tensor) -> torch.Tensor:
    """From sRGB (IEC 61966-2-1) to light, both in [0, 1]."""
    return torch.where(value <= 0.04045, value / 12.92, power((value + 0.055) / 1.055, 2.4))


def to_srgb(light: torch.Tensor) -> torch.Tensor:
    """From light to sRGB (IEC 61966-2-1), both in [0, 1]."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * power(light, 1 / 2.4) - 0.055)


def power(value: torch.Tensor, exponent: float) -> torch.Tensor:
    """``value ** exponent``, which itself gives other last bits on another number of threads: no replay bit for bit."""
    return torch.exp(torch.log(value) * exponent)
