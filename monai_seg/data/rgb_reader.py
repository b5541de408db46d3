"""Colour pictures for MONAI's LoadImaged: red, green and blue, whatever way the file holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import PILReader
from monai.utils import ensure_tuple
from PIL import Image

from monai_seg.data.fault import DataError, Fault, fact
from monai_seg.data.layouts.files import stem
from monai_seg.data.raster import UnreadableError, read_raster


class RGBReader(PILReader):
    """Read 8-bit PNG, JPEG, TIFF and BMP as red, green, blue; what cannot become that without loss is refused.

    Grey is repeated, black-and-white and palettes are looked up, an alpha channel that is opaque everywhere is left
    out. The rule is that of ``require_sound(..., as_rgb=True)``, which finds all refusals before training. In YAML::

        {_target_: LoadImaged, keys: image, reader: "$data.RGBReader", reverse_indexing: false,
         ensure_channel_first: true}

    or by name, ``reader: monai_seg.data.RGBReader``.

    Args:
        reverse_indexing: whether columns come before rows, MONAI's default for other readers; not here, so that
            arrays lie as the files do.

    Shape:
        `get_data` gives ``(H, W, 3)``, uint8; LoadImaged with ``ensure_channel_first`` ``(3, H, W)``, float32.
    """

    def __init__(self, reverse_indexing: bool = False) -> None:
        super().__init__(reverse_indexing=reverse_indexing)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[PathLike]:
        """Only take the names: where `read` raises, LoadImage asks other readers, which would convert in silence."""
        return list(ensure_tuple(data))

    def get_data(self, img: Sequence[PathLike]) -> tuple[np.ndarray, dict]:
        """Read the file that `read` was given.

        Returns:
            The colours, and MONAI's metadata of a picture.

        Raises:
            DataError: the file is damaged or is refused; the text names it and says what to do.
        """
        if len(img) != 1:
            facts = [fact("image", str(path)) for path in img]
            raise _refusal(img, "a colour picture is one file", facts, "save its channels together, as PNG")
        try:
            raster = read_raster(str(img[0]), as_rgb=True)
        except UnreadableError as error:
            remark = error.remark
            facts = [fact("image", str(img[0]), remark.found)]
            raise _refusal(img, remark.problem.format(kind="image"), facts, remark.mend) from error
        return super().get_data(Image.fromarray(raster.values))


def _refusal(paths: Sequence[PathLike], problem: str, facts: Sequence[str], mend: str) -> DataError:
    first = Path(str(paths[0]))
    return DataError([Fault(stem(first), problem, tuple(facts), mend)], str(first.parent))
