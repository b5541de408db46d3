"""Many small pictures on one sheet, each with a few words below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

_TILE, _GAP, _LINE, _HEAD = 128, 8, 15, 26
_BACKGROUND, _TEXT = (24, 24, 24), (235, 235, 235)


def contact_sheet(
    pictures: Sequence[str | np.ndarray], captions: Sequence[str], heading: str = "", columns: int = 6
) -> np.ndarray:
    """Lay pictures out in rows, scaled to tiles of one size.

    Args:
        pictures: files, or arrays ``(H, W)`` or ``(H, W, 3)``, uint8. A file that cannot be read leaves its tile empty.
        captions: of each, one or several lines.
        heading: above all.
        columns: at most.

    Returns:
        ``(rows, columns, 3)``, uint8.
    """
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    font, width = ImageFont.load_default(12), max(columns * (_TILE + _GAP) + _GAP, 3 * _TILE)
    step = _TILE + lines * _LINE + _GAP
    sheet = Image.new("RGB", (width, _HEAD + rows * step + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 6), heading, fill=_TEXT, font=font)
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = _GAP + place % columns * (_TILE + _GAP), _HEAD + place // columns * step
        tile = _tile(picture)
        sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + (_TILE - tile.height) // 2))
        fitting = "\n".join(_cut(line, pen, font) for line in caption.split("\n"))
        pen.multiline_text((left, top + _TILE + 1), fitting, fill=_TEXT, font=font, spacing=2)
    return np.asarray(sheet)


def _cut(line: str, pen: ImageDraw.ImageDraw, font: Any) -> str:
    """The line, without its end where it is wider than a tile."""
    shown = line
    while shown and pen.textlength(shown, font=font) > _TILE:
        shown = shown[:-1]
    return shown if shown == line else shown[:-1] + "…"


def _tile(picture: str | np.ndarray) -> Image.Image:
    if isinstance(picture, np.ndarray):
        image = Image.fromarray(picture)
    else:
        try:
            with Image.open(picture) as file:
                image = file.convert("RGB")
        except (OSError, UnidentifiedImageError, ValueError):
            return Image.new("RGB", (_TILE, _TILE), (60, 60, 60))
    scale = _TILE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
