"""Facts about an image file that could give its class away without a look at what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_seg.data.layouts.files import extension
from monai_seg.data.raster import Raster

_PATCH = 256  # pixels a side of the middle in which grain and sharpness are measured


@dataclass(frozen=True)
class FileFacts:
    """What a file is like.

    Args:
        file: of the file itself: its kind, size in pixels, channels and bits, and how well it compresses.
        texture: of the grey values: brightness, contrast, grain, sharpness and the tone of the frame.
    """

    file: dict[str, float | str]
    texture: dict[str, float | str]


def file_facts(path: Path, raster: Raster, grey: np.ndarray) -> FileFacts:
    """Measure a picture and its file.

    Args:
        path: of the file.
        raster: its content.
        grey: one value a pixel, ``(H, W)``.
    """
    height, width = grey.shape
    of_file: dict[str, float | str] = {
        "format": extension(path),
        "width": width,
        "height": height,
        "channels": raster.channels,
        "depth": str(raster.values.dtype),
        "bytes per pixel": path.stat().st_size / grey.size,
    }
    return FileFacts(of_file, _texture(grey))


def _texture(grey: np.ndarray) -> dict[str, float | str]:
    height, width = grey.shape
    top, left = max(0, (height - _PATCH) // 2), max(0, (width - _PATCH) // 2)
    patch = grey[top : top + _PATCH, left : left + _PATCH].astype(np.float32)
    step = max(1, min(height, width) // _PATCH)
    values = grey[::step, ::step].astype(np.float32)
    rows, columns = np.abs(np.diff(patch, axis=0)), np.abs(np.diff(patch, axis=1))
    # The difference of differences: edges weigh little in it, grain and the blocks of a JPEG much.
    grain = np.abs(np.diff(np.diff(patch, axis=0), axis=1))
    frame = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    contrast = float(values.std())
    return {
        "brightness": float(values.mean()),
        "contrast": contrast,
        "sharpness": float((rows.mean() if rows.size else 0) + (columns.mean() if columns.size else 0)),
        "grain": float(grain.mean()) if grain.size else 0.0,
        "darkest": float(values.min()),
        "brightest": float(values.max()),
        "frame": float(frame.mean()),
        "evenness of the frame": float(frame.std()) / (contrast + 1e-6),
    }
