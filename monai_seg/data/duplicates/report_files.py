"""The results of an audit as files: a table of all pairs, and a sheet of the first ones to look at."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_seg.data.atomic import atomic_path, write_text_atomic
from monai_seg.data.duplicates.copies import NEAR, Copy
from monai_seg.data.duplicates.leaks import LeakReport
from monai_seg.data.layouts.listing import first_image
from monai_seg.data.raster import UnreadableError, read_raster

_COLUMNS = ("kind", "agreement", "how", *(f"{which}_{what}" for which in ("first", "second")
            for what in ("place", "image", "class", "group")))  # fmt: skip
_PICTURE, _GAP, _LINE, _PER_ROW = 160, 8, 14, 3  # pixels; pairs beside each other
_LETTERS = 46  # of a caption
_MOST_PAIRS = 30


def write_report(report: LeakReport, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``duplicates.csv`` and, where there are copies, ``duplicates.png``.

    Args:
        report: what an audit found.
        folder: made where it is not there.

    Returns:
        The files.

    Raises:
        OSError: the folder cannot be written.
    """
    table = Path(folder) / "duplicates.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(report.row(copy) for copy in report.copies)
    write_text_atomic(table, text.getvalue())
    if not report.copies:
        return [table]
    sheet = Path(folder) / "duplicates.png"
    with atomic_path(sheet) as temporary:
        contact_sheet(report, report.copies[:_MOST_PAIRS]).save(temporary)
    return [table, sheet]


def contact_sheet(report: LeakReport, copies: Sequence[Copy]) -> Image.Image:
    """Pairs of copies side by side, with captions.

    Args:
        report: whose images are meant.
        copies: the pairs to draw.
    """
    width, height = 2 * _PICTURE + 3 * _GAP, _PICTURE + 2 * _GAP + 3 * _LINE
    rows = -(-len(copies) // _PER_ROW)
    sheet = Image.new("RGB", (_PER_ROW * width, max(1, rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, copy in enumerate(copies):
        left, top = number % _PER_ROW * width + _GAP, number // _PER_ROW * height + _GAP
        pair = [report.images[index] for index in (copy.first, copy.second)]
        for place, image in enumerate(pair):
            picture = _picture(first_image(image.record))
            space = [(_PICTURE - size) // 2 for size in picture.size]
            sheet.paste(picture, (left + place * (_PICTURE + _GAP) + space[0], top + space[1]))
        colour = "firebrick" if report.is_across(copy) else "black"
        told = f"{copy.kind} {copy.agreement:.2f}" if copy.kind == NEAR else copy.kind
        lines = [
            *(_caption(f"{image.place}: ", image.name) for image in pair),
            ", ".join(filter(None, (told, copy.how))),
        ]
        for line, text in enumerate(lines):
            draw.text((left, top + _PICTURE + 2 + line * _LINE), text, colour, font)
    return sheet


def _picture(path: str) -> Image.Image:
    """A small picture of a file, with its proportions; the middle slice of a volume."""
    try:
        raster = read_raster(path)
    except UnreadableError:  # it was there a moment ago
        return Image.new("RGB", (_PICTURE, _PICTURE), "lightgrey")
    values = raster.values
    if len(raster.shape) == 3:
        values = values.reshape((*raster.shape, -1))[:, :, raster.shape[2] // 2, 0]
    if values.dtype != np.uint8:
        values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
        low, high = values.min(), values.max()
        values = ((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(values)).convert("RGB")
    scale = _PICTURE / max(picture.size)
    return picture.resize([max(1, round(size * scale)) for size in picture.size], Image.Resampling.BICUBIC)


def _caption(place: str, name: str) -> str:
    room = _LETTERS - len(place)
    return place + (name if len(name) <= room else "..." + name[-max(8, room - 3) :])
