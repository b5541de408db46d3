"""Objects drawn over a picture: outlines with a dark rim, boxes, and captions that do not hide each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DARK, LIGHT = (24, 24, 24), (235, 235, 235)
_FINE = 2  # lines are drawn this many times larger and shrunk, so that they have no stairs
_RIM, _LINE, _BOX = 7, 3, 2  # widths in fine pixels
_DASH = 9.0  # pixels
_FONT_SIZE, _CAPTION_HEIGHT = 13, 16

Colour = tuple[int, int, int]
Place = tuple[float, float, float, float]  # left, top, right, bottom
Polyline = list[tuple[float, float]]


class OutlineDrawing:
    """Lines over a picture that grows with them; captions are drawn at the end, where there is room.

    Args:
        picture: what to draw on.
        scale: how many of its pixels are one of a mask, along rows and columns.

    Shape:
        picture ``(H, W, 3)`` uint8.
    """

    def __init__(self, picture: np.ndarray, scale: tuple[float, float]) -> None:
        self._scale = scale
        self._size = (picture.shape[1], picture.shape[0])
        self._fine = Image.fromarray(picture).resize((self._size[0] * _FINE, self._size[1] * _FINE))
        self._pen = ImageDraw.Draw(self._fine)
        self._captions: list[tuple[Place, str, Colour]] = []

    def outline(self, mask: np.ndarray, colour: Colour, dashed: bool = False) -> None:
        """Draw along the edge of a mask ``(H, W)``, holes too."""
        lines = [self._to_fine(line) for line in contours(mask)]
        for line in lines:
            self._line(line, DARK, _RIM)
        for line in lines:
            for part in _dashes(line, _DASH * _FINE) if dashed else [line]:
                self._line(part, colour, _LINE)

    def box(self, box: Sequence[float], colour: Colour) -> None:
        """Draw a box ``(top, left, bottom, right)`` in edges of the mask's pixels."""
        top, left, bottom, right = box
        corners = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
        self._line(self._to_fine(np.array(corners)), colour, _BOX)

    def caption(self, box: Sequence[float], text: str, colour: Colour) -> None:
        """Ask for a text at a box; what comes first has the first choice of its place."""
        top, left, bottom, right = box
        down, along = self._scale
        self._captions.append(((left * along, top * down, right * along, bottom * down), text, colour))

    def finish(self) -> np.ndarray:
        """The picture ``(H, W, 3)``, uint8, with all captions for which there is room."""
        picture = self._fine.resize(self._size, Image.Resampling.BOX)
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT_SIZE)
        taken: list[Place] = []
        boxes = [box for box, _, _ in self._captions]
        for box, text, colour in self._captions:
            width = pen.textlength(text, font=font) + 7
            others = [other for other in boxes if other != box]
            place = _free_place(box, width, self._size, taken + others) or _free_place(box, width, self._size, taken)
            if place is None:
                continue
            taken.append(place)
            left, top, right, bottom = place
            pen.rectangle((left, top, right, bottom), fill=DARK)
            pen.rectangle((left, top, left + 2, bottom), fill=colour)
            pen.text((left + 5, top - 1), text, fill=LIGHT, font=font)
        return np.array(picture)

    def _to_fine(self, points: np.ndarray) -> Polyline:
        """From edges in the mask (row, column) to pixels of the fine picture (column, row)."""
        down, along = (factor * _FINE for factor in self._scale)
        # A line through (0, 0) is drawn around the middle of the first pixel, half a pixel from its edge.
        return [(column * along - 0.5, row * down - 0.5) for row, column in points]

    def _line(self, line: Polyline, colour: Colour, width: int) -> None:
        self._pen.line(line, fill=colour, width=width, joint="curve")


def contours(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines ``(P, 2)`` between the pixels of a mask, corners cut; pixel 0 reaches from 0 to 1."""
    from skimage.measure import find_contours

    inside = np.argwhere(mask)
    if not len(inside):
        return []
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    part = np.pad((mask[low[0] : high[0], low[1] : high[1]] != 0).astype(np.float32), 1)
    # The centre of padded pixel (1, 1) is half a pixel behind the first edge of the object.
    return [line + low - 0.5 for line in find_contours(part, 0.5)]


def _dashes(line: Polyline, length: float) -> list[Polyline]:
    """Every other piece of this length."""
    points = np.array(line)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    dashes = []
    for start in np.arange(0.0, way[-1], 2 * length):
        at = np.arange(start, min(start + length, way[-1]), 1.0)
        dashes.append(
            [(float(x), float(y)) for x, y in zip(*(np.interp(at, way, axis) for axis in points.T), strict=True)]
        )
    return dashes


def _free_place(box: Place, width: float, size: tuple[int, int], taken: Sequence[Place]) -> Place | None:
    """Above the box, else below it, else at its sides; None where all is taken."""
    left, top, right, bottom = box
    choices = [
        (left, top - _CAPTION_HEIGHT - 3),
        (left, bottom + 3),
        (right - width, top - _CAPTION_HEIGHT - 3),
        (right - width, bottom + 3),
        (right + 3, top),
        (left - width - 3, top),
        (left, top),
    ]
    for x, y in choices:
        x = min(max(0.0, x), max(0.0, size[0] - width))
        place = (x, y, x + width, y + _CAPTION_HEIGHT)
        inside = y >= 0 and place[3] <= size[1]
        if inside and not any(_meet(place, other) for other in taken):
            return place
    return None


def _meet(first: Sequence[float], second: Sequence[float]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
