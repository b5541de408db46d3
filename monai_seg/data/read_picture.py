"""Read PNG, JPEG, TIFF and BMP from bytes, checksums included."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from monai_seg.data.raster import Raster, Remark, UnreadableError

_COPY = "copy the file again from its source, or leave the case out"
_ORIENTATION_TAG = 0x0112
_UPRIGHT = "turn the pixels upright and save without the tag; image and mask would be turned against each other"
# Pillow reports damage with whichever of these its decoder meets.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    zlib.error,
    struct.error,
    Image.DecompressionBombError,
)


def picture(content: bytes, sha256: str) -> Raster:
    """Make a raster of a picture file.

    Args:
        content: the whole file.
        sha256: of the file, to be passed on.

    Raises:
        UnreadableError: the file is damaged, truncated, too large or no picture.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()  # the checksums of a PNG, which load() leaves out
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            frames = int(getattr(image, "n_frames", 1))
            remarks = _remarks(image, frames)
            values = np.asarray(image)
    except Image.UnidentifiedImageError as error:
        found = f"starts with {content[:8]!r}"
        raise UnreadableError("the {kind} is no picture that can be read", found, _COPY) from error
    except _DAMAGE as error:
        raise UnreadableError("the {kind} is damaged or truncated", str(error), _COPY) from error
    channels = values.shape[2] if values.ndim == 3 else 1
    shape = (int(values.shape[0]), int(values.shape[1]))
    return Raster(values, shape, channels, sha256, None, tuple(remarks), is_lossy=image.format in ("JPEG", "MPO"))


def _remarks(image: Image.Image, frames: int) -> list[Remark]:
    remarks = []
    turned = image.getexif().get(_ORIENTATION_TAG, 1)
    if turned not in (0, 1):
        remarks.append(Remark("the {kind} is turned by an EXIF tag", f"orientation {turned}", _UPRIGHT))
    if frames > 1:
        mend = "save the frames as single files, or as one NIfTI volume"
        remarks.append(Remark("the {kind} has several frames; only the first would be read", f"{frames} frames", mend))
    if image.mode in ("RGBA", "LA", "PA"):
        mend = "save without the alpha channel, or drop it on loading"
        remarks.append(Remark("the {kind} has an alpha channel", f"mode {image.mode}", mend, is_fault=False))
    if image.mode in ("P", "PA"):
        mend = "fine for a mask of class indices; save an image in grey or RGB"
        remarks.append(Remark("the {kind} has a palette; its indices are read", "mode P", mend, is_fault=False))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        mend = "save it in grey or RGB"
        remarks.append(Remark("the {kind} is neither grey nor RGB", f"mode {image.mode}", mend))
    return remarks
