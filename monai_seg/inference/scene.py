"""A picture of any size that is read in bands of rows, and what is refused before it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from monai_seg.data.layouts.files import extension
from monai_seg.data.raster import UnreadableError

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


def open_scene(path: str | Path) -> Scene:
    """Open a picture to read it in bands: a TIFF piece by piece, a PNG, JPEG or BMP decoded once as a whole.

    Args:
        path: TIFF (strips, tiles, BigTIFF, GeoTIFF), PNG, JPEG or BMP. TIFFs whose compression tifffile cannot decode
            by itself (LZW, JPEG ...) are read by rasterio, where ``monai-seg[geo]`` is installed.

    Raises:
        UnreadableError: the file is missing, damaged, empty, or would not be read as it is meant: a palette, an alpha
            channel, an EXIF turn, several frames, 16-bit colours in PNG, CMYK.
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

        return open_tiff(path)
    from monai_seg.inference.picture_scene import open_picture

    return open_picture(path)
