"""Coarse features of thumbnails: whole ones and windows of them, whole turns for the price of signs."""

from __future__ import annotations

import numpy as np

_WAVES = 8  # cosine waves along each axis
# A copy may be a part of its original: 5 to 15% cut off each side, not always alike. Shares of the side that windows
# keep, and how far they lie off the middle; between two neighbours the features below still agree.
_SCALES = ((1.0, (0.0,)), (0.93, (0.0,)), (0.87, (-0.04, 0.04)), (0.8, (-0.06, 0.0, 0.06)), (0.74, (0.0,)))
WINDOWS = np.array(
    [
        [0.5 + row - scale / 2, 0.5 + row + scale / 2, 0.5 + column - scale / 2, 0.5 + column + scale / 2]
        for scale, offsets in _SCALES
        for row in offsets
        for column in offsets
    ],
    dtype=np.float32,
)
"""First and last row, first and last column of each window, as shares of the sides; the first is the whole image."""

TURNS = (
    "",
    "mirrored",
    "upside down",
    "half turn",
    "transposed",
    "quarter turn left",
    "quarter turn right",
    "transversed",
)
"""What was done to an original, as `turned` undoes it on the copy: the eight symmetries of a square."""


def turned(images: np.ndarray, turn: int) -> np.ndarray:
    """Images after one of `TURNS`.

    Shape:
        images ``(N, S, S)``; so is what is given.
    """
    if turn & 1:
        images = images[:, :, ::-1]
    if turn & 2:
        images = images[:, ::-1]
    return images.transpose(0, 2, 1) if turn & 4 else images


def window_features(thumbnails: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Amplitudes of the coarsest cosine waves in a window of each thumbnail, each weighted by its frequency.

    The weights undo the fall of natural pictures towards fine structure, which makes images comparable by a dot
    product: 1 for equal ones, whatever their brightness and contrast. Without them all aligned faces look alike.

    Args:
        thumbnails: grey values.
        window: one of `WINDOWS`.

    Shape:
        thumbnails ``(N, S, S)``. Gives ``(N, F)``, float32, rows of length 1 (or 0 of an image of one tone).
    """
    side = thumbnails.shape[1]
    rows, columns = _waves(side, window[0], window[1]), _waves(side, window[2], window[3])
    amplitudes = rows @ thumbnails.astype(np.float32) @ columns.T * _frequency()
    flat = amplitudes.reshape(len(thumbnails), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def turned_features(features: np.ndarray, turn: int) -> np.ndarray:
    """Features of whole thumbnails, had they been turned first: odd waves change their sign, axes their places."""
    grid = features.reshape(-1, _WAVES, _WAVES)
    signs = np.where(np.arange(_WAVES) % 2, -1.0, 1.0).astype(np.float32)
    if turn & 1:
        grid = grid * signs
    if turn & 2:
        grid = grid * signs[:, None]
    if turn & 4:
        grid = grid.transpose(0, 2, 1)
    return np.ascontiguousarray(grid).reshape(len(features), -1)


def _waves(side: int, low: float, high: float) -> np.ndarray:
    """Integrals of cosine waves that fit the window, over each pixel of the axis, ``(WAVES, side)``."""
    edges = np.clip((np.arange(side + 1) / side - low) / (high - low), 0, 1)
    orders = np.arange(1, _WAVES)[:, None]
    integrals = np.concatenate([edges[None], np.sin(np.pi * orders * edges) / (np.pi * orders)])
    return np.diff(integrals, axis=1).astype(np.float32)


def _frequency() -> np.ndarray:
    """Of each pair of waves; 0 for the mean, which says nothing. The first order has half the weight of a cosine's."""
    order = np.arange(_WAVES)
    scale = np.where(order, np.sqrt(2.0), 1.0)
    return (np.hypot(order[:, None], order) * scale[:, None] * scale).astype(np.float32)
