"""Read PNG, JPEG, TIFF and BMP from bytes, checksums included."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from monai_seg.data.raster import OPAQUE_ALPHA, Raster, Remark, UnreadableError

_COPY = "copy the file again from its source, or leave the case out"
_ORIENTATION_TAG, _BITS_TAG, _SAMPLES_TAG = 0x0112, 258, 277
RGB_MODES = ("1", "L", "P", "RGB", "LA", "PA", "RGBA")
_UPRIGHT = "turn the pixels upright and save without the tag; image and mask would be turned against each other"
_TRANSPARENT = "cut these pixels off or give them a colour, and save without alpha"
# Pillow reports damage with whichever of these its decoder meets.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    zlib.error,
    struct.error,
)


def picture(content: bytes, sha256: str, as_rgb: bool = False) -> Raster:
    """Make a raster of a picture file.

    Args:
        content: the whole file.
        sha256: of the file, to be passed on.
        as_rgb: whether the values are those of `rgb_values` and not the file's own.

    Raises:
        UnreadableError: the file is damaged, truncated, too large or no picture, or `rgb_values` refuses it.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()  # the checksums of a PNG, which load() leaves out
        with Image.open(io.BytesIO(content)) as image:
            remarks = [] if as_rgb else _remarks(image)
            values = rgb_values(image) if as_rgb else np.asarray(image)
    except UnreadableError:
        raise
    except Image.UnidentifiedImageError as error:
        found = f"starts with {content[:8]!r}"
        raise UnreadableError("the {kind} is no picture that can be read", found, _COPY) from error
    except Image.DecompressionBombError as error:
        raise UnreadableError("the {kind} is too large to be read whole", str(error), "cut it into parts") from error
    except _DAMAGE as error:
        raise UnreadableError("the {kind} is damaged or truncated", str(error), _COPY) from error
    channels = values.shape[2] if values.ndim == 3 else 1
    shape = (int(values.shape[0]), int(values.shape[1]))
    return Raster(values, shape, channels, sha256, None, tuple(remarks), is_lossy=image.format in ("JPEG", "MPO"))


def rgb_values(image: Image.Image) -> np.ndarray:
    """Red, green and blue of a picture: grey repeated, 1 bit and palette looked up, an opaque alpha channel left out.

    This is the one judgement of what may become RGB: `RGBReader`, the checks and the scenes share it.

    Args:
        image: as `PIL.Image.open` gives it, nothing loaded.

    Returns:
        ``(H, W, 3)``, uint8.

    Raises:
        UnreadableError: transparency, more than 8 bits, CMYK and its like, an EXIF turn, several frames.
    """
    for remark in _remarks(image):
        if remark.is_fault:
            raise UnreadableError(remark.problem, remark.found, remark.mend)
    if image.mode not in RGB_MODES:  # I;16, I and F: Pillow would clip them to 255
        mend = "scale all pictures alike to 8 bits, or use a bundle that reads them as they are"
        raise UnreadableError("the {kind} has more than 8 bits per channel", f"mode {image.mode}", mend)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    values = np.asarray(image.convert("RGBA"))
    refuse_transparency(values[..., 3], f"mode {image.mode}")
    return np.ascontiguousarray(values[..., :3])


def refuse_transparency(alpha: np.ndarray, kind: str) -> None:
    """Raise where an alpha channel, uint8, is not opaque everywhere: what lies below is no colour that anybody sees.

    Raises:
        UnreadableError: counts the pixels.
    """
    if alpha.min(initial=255) < 255:
        count = int(np.count_nonzero(alpha < 255))
        found = f"{kind}, {count:,} of {alpha.size:,} pixels"
        raise UnreadableError("the {kind} is transparent in places", found, _TRANSPARENT)


def is_cut_to_8_bits(image: Image.Image) -> bool:
    """Whether Pillow reads 8 bits of each colour where the file has 16; only known before the pixels are loaded."""
    if len(image.getbands()) == 1:
        return False
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(_BITS_TAG, (1,))) > 8
    return isinstance(image, PngImageFile) and str(image.tile[0][3]).endswith(";16B")


def _remarks(image: Image.Image) -> list[Remark]:
    """What is odd about a picture of which nothing is loaded yet; it is loaded afterwards."""
    remarks, mode, frames = [], image.mode, int(getattr(image, "n_frames", 1))
    is_cut = is_cut_to_8_bits(image)
    # Asked before loading, which turns a TIFF and forgets why. A PNG is loaded by it: it may lie behind the pixels.
    turned = image.getexif().get(_ORIENTATION_TAG, 1)
    image.load()
    if turned not in (0, 1):
        remarks.append(Remark("the {kind} is turned by an EXIF tag", f"orientation {turned}", _UPRIGHT))
    if frames > 1:
        mend = "save the frames as single files, or as one NIfTI volume"
        remarks.append(Remark("the {kind} has several frames; only the first would be read", f"{frames} frames", mend))
    if is_cut:
        mend = "scale all pictures alike to 8 bits; those that are lost could hold what you look for"
        remarks.append(Remark("the {kind} has 16 bits per colour; only 8 would be read", f"mode {mode}", mend))
    samples = int(image.tag_v2.get(_SAMPLES_TAG, 1)) if isinstance(image, TiffImageFile) else 0
    if samples > len(image.getbands()):
        found = f"{samples} channels, {len(image.getbands())} of them known"
        mend = "save those that matter alone; say that the fourth is alpha where it is"
        remarks.append(Remark("the {kind} has channels that would not be read", found, mend))
    if mode in ("RGBA", "LA", "PA"):
        is_opaque = image.getchannel("A").getextrema() == (255, 255)
        mend = "a bundle that reads RGB leaves it out; for others save without it" if is_opaque else _TRANSPARENT
        problem = OPAQUE_ALPHA if is_opaque else "the {kind} has an alpha channel that is transparent in places"
        remarks.append(Remark(problem, f"mode {mode}", mend, is_fault=False))
    if mode in ("P", "PA"):
        mend = "fine for a mask of class indices; save an image in grey or RGB"
        remarks.append(Remark("the {kind} has a palette; its indices are read", "mode P", mend, is_fault=False))
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        mend = "save it in grey or RGB"
        remarks.append(Remark("the {kind} is neither grey nor RGB", f"mode {mode}", mend))
    return remarks
