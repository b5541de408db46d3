"""A picture of any size that is read in bands of rows, and what is refused before it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from monai_seg.data.layouts.files import extension
from monai_seg.data.raster import UnreadableError
from monai_seg.data.read_picture import refuse_transparency

COPY = "copy the file again from its source"


@dataclass(frozen=True)
class SceneFacts:
    """What the head of a picture file says.

    Args:
        height, width: in pixels.
        channels: values of a pixel.
        dtype: of a value.
        geo_tags: GeoTIFF tags as (code, kind, count, value): coordinate system and position on the ground.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype
    geo_tags: tuple[tuple[int, int, int, Any], ...] = field(default=(), repr=False)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width


class Scene(ABC):
    """An open picture; a context manager.

    Args:
        path: the file.
        facts: what its head says.
    """

    def __init__(self, path: Path, facts: SceneFacts) -> None:
        self.path, self.facts = path, facts

    @abstractmethod
    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows from ``start`` up to and without ``stop``, ``(stop - start, W, C)``, in the file's own values.

        Reading from top to bottom is cheap; what lies above the last band may have to be decoded again.

        Raises:
            UnreadableError: this part of the file is damaged.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of the file."""

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RGBScene(Scene):
    """A picture as red, green, blue, as `monai_seg.data.RGBReader` gives it.

    Args:
        scene: of 8 bits: grey or RGB, an alpha channel last where there is one, or the indices of a palette.
        has_alpha: whether the last channel is alpha; it has to be opaque.
        palette: ``(256, 3)``, uint8.
    """

    def __init__(self, scene: Scene, has_alpha: bool = False, palette: np.ndarray | None = None) -> None:
        super().__init__(scene.path, replace(scene.facts, channels=3))
        self._scene, self._has_alpha, self._palette = scene, has_alpha, palette

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the picture, see `Scene.rows`.

        Raises:
            UnreadableError: this part of the file is damaged, or transparent in places.
        """
        values = self._scene.rows(start, stop)
        if self._has_alpha:
            refuse_transparency(values[..., -1], f"rows {start} to {stop}")
            values = values[..., :-1]
        if self._palette is not None:
            return self._palette[values[..., 0]]
        return np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values

    def close(self) -> None:
        """Close the file."""
        self._scene.close()


def open_scene(path: str | Path, as_rgb: bool = False) -> Scene:
    """Open a picture to read it in bands: a TIFF piece by piece, a PNG, JPEG or BMP decoded once as a whole.

    Args:
        path: TIFF (strips, tiles, BigTIFF, GeoTIFF), PNG, JPEG or BMP. TIFFs whose compression tifffile cannot decode
            by itself (LZW, JPEG ...) are read by rasterio, where ``monai-seg[geo]`` is installed.
        as_rgb: whether it is read as `monai_seg.data.RGBReader` reads it: red, green, blue, whatever way the file
            holds them. An alpha channel that turns out not to be opaque is refused when its rows are read.

    Raises:
        UnreadableError: the file is missing, damaged, empty, or would not be read as it is meant: an EXIF turn,
            several frames, 16-bit colours in PNG, CMYK; a palette or an alpha channel, but for ``as_rgb``, and more
            than 8 bits with it.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableError(
            "the {kind} cannot be opened", error.strerror or str(error), "restore the file"
        ) from error
    if size == 0:
        raise UnreadableError("the {kind} is an empty file", "0 bytes", COPY)
    if extension(path) in (".tif", ".tiff"):
        from monai_seg.inference.tiff_scene import open_tiff

        return open_tiff(path, as_rgb)
    from monai_seg.inference.picture_scene import open_picture

    return open_picture(path, as_rgb)
