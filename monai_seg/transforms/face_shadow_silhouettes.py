"""What stands between light and face: outlines of hands, brims, foliage, blinds and patches, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import RandomState

Outline = np.ndarray
"""Corners ``(N, 2)`` of a polygon, x (right) and y (down), in half heights of the face from its centre."""

FAR = 6.0  # beyond the edges of a photograph whose height a face fills by a quarter or more


@dataclass(frozen=True)
class Occluder:
    """A kind of silhouette, and the poses in which it plausibly shades a face.

    Args:
        outlines: draws the polygons, whose union is the silhouette, in the kind's own upright pose.
        angles_rad: ranges from which one is drawn and then an angle in it.
        scale: range of sizes, 1 = as large as the thing is beside a face.
        row_shift: range of the way downwards from the centre of the face, in its half heights.
        col_shift: the same to the right.
        distance: how far such a thing usually is from the face, 1 = as a hand held before it. The farther, the softer.
    """

    outlines: Callable[[RandomState], list[Outline]]
    angles_rad: tuple[tuple[float, float], ...]
    scale: tuple[float, float]
    row_shift: tuple[float, float]
    col_shift: tuple[float, float]
    distance: float = 1.0


def ribbon(spine: np.ndarray, half_width: np.ndarray, round_end: bool = True) -> Outline:
    """Outline of a band around a line ``(N, 2)``, as wide as ``(N,)`` says; its far end may be round."""
    along = np.gradient(spine, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half_width[:, None]
    end = np.empty((0, 2))
    if round_end:
        turn = np.linspace(0, math.pi, 9)[1:-1, None]
        end = spine[-1] + across[-1] * np.cos(turn) + along[-1] * half_width[-1] * np.sin(turn)
    return np.concatenate([spine + across, end, (spine - across)[::-1]])


def curve(start: np.ndarray, heading_rad: float, length: float, bend_rad: float, points: int = 8) -> np.ndarray:
    """Line ``(points, 2)`` that sets out in a direction (0 = up, clockwise) and turns evenly on its way."""
    heading = heading_rad + np.linspace(0, bend_rad, points - 1)
    steps = np.stack([np.sin(heading), -np.cos(heading)], axis=1) * (length / (points - 1))
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def waves(rng: RandomState, turns: np.ndarray, octaves: int, roughness: float) -> np.ndarray:
    """Smooth noise of mean 0 along a line, periodic in whole ``turns``: each octave is ``roughness`` times as high."""
    height = np.zeros_like(turns)
    for octave in range(1, octaves + 1):
        height += roughness ** (octave - 1) * rng.normal() * np.cos(2 * math.pi * (octave * turns + rng.rand()))
    return height


def hand(rng: RandomState) -> list[Outline]:
    """A hand with fingers spread, closed or half curled, and the arm that holds it."""
    spread, bend = rng.uniform(0.0, 0.22), rng.uniform(-0.25, 0.25)
    wrist = np.array([0.0, 0.42])
    arm = ribbon(curve(wrist, math.pi + rng.uniform(-0.4, 0.4), FAR, 0.0), np.linspace(0.23, 0.55, 8), False)
    palm = ribbon(np.array([[0, 0.6], [0, 0.42], [0, 0.2], [0, 0.0], [0, -0.2], [0, -0.32]]), HALF_PALM)
    outlines = [arm, palm]
    for place, length in enumerate((0.70, 0.80, 0.74, 0.58)):
        start = np.array([(place - 1.5) * 0.185, -0.22 + 0.06 * abs(place - 1.3)])
        length *= rng.uniform(0.88, 1.05) if rng.rand() < 0.85 else rng.uniform(0.35, 0.6)  # now and then one curls
        heading = (place - 1.5) * spread + rng.normal(0, 0.035)
        spine = curve(start, heading, length, bend + rng.normal(0, 0.08))
        outlines.append(ribbon(spine, np.interp(np.linspace(0, 1, 8), *FINGER) * rng.uniform(0.92, 1.08)))
    thumb = curve(np.array([-0.24, 0.25]), rng.uniform(-1.0, -0.35), 0.72, rng.uniform(0.0, 0.7))
    outlines.append(ribbon(thumb, np.linspace(0.17, 0.095, 8)))
    mirror = np.array([rng.choice([-1.0, 1.0]), 1.0])
    return [outline * mirror for outline in outlines]


HALF_PALM = np.array([0.22, 0.26, 0.35, 0.385, 0.38, 0.30])
FINGER = ([0.0, 0.45, 0.6, 1.0], [0.105, 0.092, 0.096, 0.068])  # the knuckle is a little thicker


def brim(rng: RandomState) -> list[Outline]:
    """A hat or cap: all above an arc across the forehead or the cheeks; some brims are of loose straw."""
    across = np.linspace(-FAR, FAR, 241)
    width, depth = rng.uniform(0.8, 1.6), rng.uniform(-0.25, 0.55)
    arc = depth * (
        np.sqrt(np.clip(1 - (across / width) ** 2, 0, None)) if rng.rand() < 0.4 else np.exp(-((across / width) ** 2))
    )
    edge = arc + rng.uniform(0.0, 0.012) * waves(rng, across / (2 * FAR), 24, 0.97)
    outlines = [np.concatenate([np.stack([across, edge], axis=1), [[FAR, -FAR], [-FAR, -FAR]]])]
    if rng.rand() < 0.3:  # a frayed edge
        for _ in range(rng.randint(8, 30)):
            x = rng.uniform(-1, 1)
            start = np.array([x, np.interp(x, across, edge) - 0.05])
            straw = curve(start, math.pi + rng.normal(0, 0.5), rng.uniform(0.1, 0.3), rng.normal(0, 0.6), 5)
            outlines.append(ribbon(straw, np.linspace(0.02, 0.004, 5), False))
    return outlines


def leaves(rng: RandomState, headings_rad: np.ndarray, breadth: float) -> np.ndarray:
    """Outlines ``(N, 18, 2)`` of leaves of length 1 that point in directions ``(N,)``, all bent alike."""
    way = np.linspace(0, 1, 9)
    one = ribbon(
        curve(np.zeros(2), 0.0, 1.0, rng.normal(0, 0.5), 9), breadth * np.sin(math.pi * way**0.8) ** 0.9, False
    )
    sin, cos = np.sin(headings_rad), np.cos(headings_rad)
    return one @ np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)


def foliage(rng: RandomState) -> list[Outline]:
    """Twigs with leaves of one species, narrow to broad, small to large; light falls through the gaps."""
    breadth, length = rng.choice([0.1, 0.18, 0.26, 0.34]), rng.uniform(0.22, 0.55)
    gap, lean = rng.uniform(0.09, 0.18), rng.uniform(0.5, 1.2)
    outlines = []
    main = rng.uniform(-math.pi, math.pi)
    for _ in range(rng.randint(5, 13)):
        heading = main + rng.normal(0, 0.5)
        start = rng.uniform(-1.4, 1.4, 2) - 0.9 * np.array([math.sin(heading), -math.cos(heading)])
        twig_length = rng.uniform(1.0, 2.2)
        twig = curve(start, heading, twig_length, rng.normal(0, 0.6), 24)
        outlines.append(ribbon(twig, np.linspace(0.022, 0.006, 24), False))
        way = np.arange(0.1, twig_length, gap) / twig_length * 23
        at = np.stack([np.interp(way, np.arange(24), twig[:, axis]) for axis in (0, 1)], axis=1)
        side = lean * (-1.0) ** np.arange(len(way)) + rng.normal(0, 0.25, len(way))
        size = length * rng.uniform(0.6, 1.2, len(way))[:, None, None]
        outlines += list(leaves(rng, heading + side, breadth) * size + at[:, None])
    return outlines


def blinds(rng: RandomState) -> list[Outline]:
    """Slats of a blind with their cords, or the few bars of a window; nearer slats look wider."""
    outlines = []
    if window := rng.rand() < 0.25:
        pitch, share, tilt, lift = rng.uniform(0.7, 1.3), rng.uniform(0.12, 0.3), 0.0, 0.0
    else:
        pitch, share = rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.68)
        tilt, lift = rng.uniform(-0.12, 0.12), rng.uniform(0, 0.06)
    offset = rng.rand()
    for place in range(-math.ceil(FAR / pitch), math.ceil(FAR / pitch)):
        middle = (place + offset + rng.normal(0, lift)) * pitch
        reach = np.array([-FAR, FAR])
        centre = middle * (1 + tilt * reach)  # slats run together towards one side
        half = 0.5 * share * pitch * np.clip(1 + tilt * reach, 0.2, None)
        outlines.append(ribbon(np.stack([reach, centre], axis=1), half, False))
    for place in range(-3, 4) if window else range(rng.randint(0, 3)):
        x = (place + offset) * pitch * 1.2 if window else rng.uniform(-1, 1)
        thickness = 0.5 * share * pitch if window else 0.015
        outlines.append(ribbon(np.array([[x, -FAR], [x, FAR]]), np.full(2, thickness), False))
    return outlines


def patch(rng: RandomState) -> list[Outline]:
    """A thing one cannot name: a noisy blob, a jagged polygon, a pole, or the edge of a wall."""
    form = rng.choice(["blob", "polygon", "pole", "wall"])
    if form == "wall":
        y = np.linspace(-FAR, FAR, 121)
        edge = 0.07 * waves(rng, y / (2 * FAR), 12, 0.9) if rng.rand() < 0.6 else np.zeros_like(y)
        return [np.concatenate([np.stack([edge, y], axis=1), [[FAR, FAR], [FAR, -FAR]]])]
    if form == "pole":
        spine = curve(np.array([rng.uniform(-0.3, 0.3), FAR]), rng.normal(0, 0.02), 2 * FAR, rng.normal(0, 0.15), 24)
        return [ribbon(spine, np.full(24, rng.uniform(0.06, 0.3)), False)]
    if form == "polygon":
        turns = np.sort(rng.rand(rng.randint(4, 9)))
        radius = rng.uniform(0.7, 1.6, len(turns))
    else:
        turns = np.arange(160) / 160
        radius = 0.9 * np.exp(0.22 * waves(rng, turns, 12, 0.7))
    around = np.stack([np.cos(2 * math.pi * turns), np.sin(2 * math.pi * turns)], axis=1)
    return [radius[:, None] * around * rng.uniform(0.7, 1.3, 2)]


ANY = ((-math.pi, math.pi),)
LEVEL, UPRIGHT = (-0.7, 0.7), (math.pi / 2 - 0.4, math.pi / 2 + 0.4)

OCCLUDERS: dict[str, Occluder] = {
    "hand": Occluder(hand, ANY, (0.7, 1.5), (-0.7, 0.7), (-0.7, 0.7)),
    "brim": Occluder(brim, ((-0.45, 0.45),), (0.8, 1.4), (-0.5, 0.25), (-0.3, 0.3), distance=0.8),
    "foliage": Occluder(foliage, ANY, (0.8, 1.6), (-0.5, 0.5), (-0.5, 0.5), distance=2.0),
    "blinds": Occluder(blinds, (LEVEL, LEVEL, UPRIGHT), (0.7, 1.3), (0.0, 0.0), (0.0, 0.0), distance=1.5),
    "patch": Occluder(patch, ANY, (0.7, 1.4), (-1.1, 1.1), (-0.9, 0.9), distance=1.3),
}


@lru_cache(maxsize=16)  # a random shadow is looked at in small before it is cast
def silhouette(kind: str, seed: int) -> tuple[Outline, ...]:
    """Polygons of a kind, in its own pose; `RandomState` promises the same numbers from a seed for ever."""
    outlines = tuple(OCCLUDERS[kind].outlines(RandomState(seed)))
    for outline in outlines:
        outline.setflags(write=False)
    return outlines
