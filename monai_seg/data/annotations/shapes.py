"""Circles, ellipses and rectangles of annotation programs as polygons ``[x0, y0, x1, y1, ...]`` in pixels."""

from __future__ import annotations

import math

_CORNERS = 64  # of a circle: its area comes out 0.2% too small


def rectangle(left: float, top: float, width: float, height: float) -> list[float]:
    """The four corners, beginning at the left upper one."""
    return [left, top, left + width, top, left + width, top + height, left, top + height]


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0) -> list[float]:
    """Points of an ellipse about (x, y), turned clockwise on the screen.

    Args:
        x, y: the middle.
        radius_x, radius_y: half its axes.
        angle: in radians.
    """
    points = []
    for number in range(_CORNERS):
        turn = 2 * math.pi * number / _CORNERS
        across, down = radius_x * math.cos(turn), radius_y * math.sin(turn)
        points.append(x + across * math.cos(angle) - down * math.sin(angle))
        points.append(y + across * math.sin(angle) + down * math.cos(angle))
    return points
