"""Where a scene lies on the ground, from its GeoTIFF tags, and whether two scenes lie at the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_SCALE, _TIE_POINTS, _MATRIX, _KEYS, _REAL_VALUES, _TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072
_PIXEL_IS_POINT = 2
_USER_DEFINED = 32767
_TOLERANCE_PX = 0.1  # writers round positions; a real shift is larger


@dataclass(frozen=True)
class Georeferencing:
    """Position and coordinate system of a scene.

    Args:
        transform: (a, b, c, d, e, f): the corner of the pixel in column ``col`` and row ``row`` lies at
            x = a col + b row + c, y = d col + e row + f, in the unit of the coordinate system.
        epsg: code of the coordinate system; None where it is not named by one.
        tags: the tags of the coordinate system, to compare two that bear no code.
    """

    transform: tuple[float, float, float, float, float, float]
    epsg: int | None = None
    tags: tuple[Any, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        a, b, c, d, e, f = self.transform
        size = f"{np.hypot(a, d):.6g} x {np.hypot(b, e):.6g}"
        system = f"EPSG:{self.epsg}" if self.epsg else "a system without EPSG code" if self.tags else "no system"
        return f"upper left corner {c:.10g}, {f:.10g}, pixels of {size}, {system}"


def read_georeferencing(geo_tags: Sequence[tuple[int, int, int, Any]]) -> Georeferencing | None:
    """Read the tags of `SceneFacts`.

    Returns:
        None where they give no position: there are none, or only ground control points.

    Source:
        OGC GeoTIFF 1.1, annex B.6 for the transformation, 7.1 for the keys. A key "pixel is point" puts the position
        at the centre of the pixel, not at its corner.
    """
    values = {code: value for code, _, _, value in geo_tags}
    keys = _short_keys(values.get(_KEYS, ()))
    if _MATRIX in values:
        a, b, _, c, d, e, _, f, *_ = values[_MATRIX]
    elif _SCALE in values and len(values.get(_TIE_POINTS, ())) == 6:
        (a, height, _), (col, row, _, x, y, _) = values[_SCALE], values[_TIE_POINTS]
        b, d, e = 0.0, 0.0, -height
        c, f = x - a * col, y - e * row
    else:
        return None
    if keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT:
        c, f = c - (a + b) / 2, f - (d + e) / 2
    code = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC))
    tags = tuple(values[name] for name in (_KEYS, _REAL_VALUES, _TEXTS) if name in values)
    return Georeferencing((a, b, c, d, e, f), None if code == _USER_DEFINED else code, tags)


def difference(first: Georeferencing, second: Georeferencing, height: int, width: int) -> str | None:
    """How two scenes of the same size differ: "in position", "in coordinate system", or None.

    Positions differ where a corner lies more than a tenth of a pixel apart. Coordinate systems are compared by their
    EPSG codes; where one has none, see `is_comparable`.
    """
    if first.epsg and second.epsg and first.epsg != second.epsg:
        return "in coordinate system"
    ones, others = (np.array(item.transform).reshape(2, 3) for item in (first, second))
    corners = np.array([(col, row, 1) for col in (0, width) for row in (0, height)]).T
    shift = np.linalg.norm(ones @ corners - others @ corners, axis=0).max()
    pixel = np.sqrt(abs(np.linalg.det(ones[:, :2])))
    return "in position" if shift > _TOLERANCE_PX * pixel else None


def is_comparable(first: Georeferencing, second: Georeferencing) -> bool:
    """Whether it can be said that both are in one coordinate system: by codes, or as their tags are the same."""
    return bool(first.epsg and second.epsg) or first.tags == second.tags


def _short_keys(directory: Sequence[int]) -> dict[int, int]:
    """Keys of a GeoKeyDirectory whose value stands in the directory itself."""
    entries = [directory[start : start + 4] for start in range(4, len(directory) - 3, 4)]
    return {key: value for key, location, _, value in entries if location == 0}
