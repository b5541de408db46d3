"""PNG, JPEG and BMP as scenes: they cannot be read in part, so that they are decoded once, when first asked for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from monai_seg.data.raster import UnreadableError
from monai_seg.data.read_picture import RGB_MODES, is_cut_to_8_bits, rgb_values
from monai_seg.inference.scene import COPY, Scene, SceneFacts

_MOST_PIXELS = 2**30  # beyond, a decoded RGB picture takes more than 3 GB
_ORIENTATION_TAG = 0x0112
_DTYPES = {"L": "u1", "RGB": "u1", "I;16": "u2", "I": "i4", "F": "f4"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, zlib.error, struct.error)


def open_picture(path: Path, as_rgb: bool = False) -> PictureScene:
    """Look at the head of a picture and refuse what would not be read as it is meant.

    Raises:
        UnreadableError: see `open_scene`.
    """
    try:
        with _without_pillows_limit(), Image.open(path) as image:
            _refuse_odd(image, as_rgb)
            channels, dtype = (3, "u1") if as_rgb else (len(image.getbands()), _DTYPES[image.mode])
            return PictureScene(path, SceneFacts(image.height, image.width, channels, np.dtype(dtype)), as_rgb)
    except UnreadableError:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadableError("the {kind} is no picture that can be read", path.suffix, COPY) from error
    except _DAMAGE as error:
        raise UnreadableError("the {kind} is damaged or truncated", str(error), COPY) from error


class PictureScene(Scene):
    """A picture that is held decoded; memory grows with its height, which a TIFF avoids."""

    def __init__(self, path: Path, facts: SceneFacts, as_rgb: bool = False) -> None:
        super().__init__(path, facts)
        self._as_rgb = as_rgb
        self._values: np.ndarray | None = None

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the picture, see `Scene.rows`."""
        if self._values is None:
            try:
                with _without_pillows_limit(), Image.open(self.path) as image:
                    values = rgb_values(image) if self._as_rgb else np.asarray(image)
                    _refuse_turned(image.getexif())  # of a PNG it may lie behind the pixels
            except UnreadableError:
                raise
            except _DAMAGE as error:
                raise UnreadableError("the {kind} is damaged or truncated", str(error), COPY) from error
            self._values = values if values.ndim == 3 else values[..., None]
        return self._values[start:stop]

    def close(self) -> None:
        """Forget the pixels."""
        self._values = None


def _refuse_odd(image: Image.Image, as_rgb: bool) -> None:
    is_cut = is_cut_to_8_bits(image)
    if image.format != "PNG" or "exif" in image.info:  # otherwise Pillow decodes a PNG to look behind its pixels
        _refuse_turned(image.getexif())
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        raise UnreadableError("the {kind} has several frames", f"{frames} frames", "save them as single files")
    if is_cut:
        as_tiff = "save it as a TIFF with 16 bits; Pillow would cut a PNG in colour down to 8 in silence"
        mend = "scale it to 8 bits, as in training" if as_rgb else as_tiff
        raise UnreadableError("the {kind} has 16 bits per colour", f"{image.format}, 16 bits", mend)
    if as_rgb and image.mode not in RGB_MODES:
        rgb_values(image)  # says why it cannot be
    if not as_rgb:
        _refuse_conversion(image)
    if image.width * image.height > _MOST_PIXELS:
        found = f"{image.width} x {image.height} px"
        raise UnreadableError("the {kind} is too large to be decoded whole", found, "convert it to a tiled TIFF")


def _refuse_conversion(image: Image.Image) -> None:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or (image.mode != "P" and "transparency" in image.info):
        raise UnreadableError("the {kind} has an alpha channel", f"mode {image.mode}", "save it without transparency")
    if image.mode == "P":
        raise UnreadableError("the {kind} has a palette", "mode P", "save it in grey or RGB")
    if image.mode not in _DTYPES:
        raise UnreadableError("the {kind} is neither grey nor RGB", f"mode {image.mode}", "save it in grey or RGB")


def _refuse_turned(exif: Image.Exif) -> None:
    turned = exif.get(_ORIENTATION_TAG, 1)
    if turned not in (0, 1):
        mend = "turn the pixels upright and save without the tag"
        raise UnreadableError("the {kind} is turned by an EXIF tag", f"orientation {turned}", mend)


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Open scenes that Pillow takes for decompression bombs: here there is a limit of our own."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
