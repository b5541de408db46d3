"""Coarse features of thumbnails: whole ones and windows of them, whole turns for the price of signs."""

from __future__ import annotations

import numpy as np

_WAVES = 8  # cosine waves along each axis
_AT_ONCE = 2048  # images
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


def window_features(thumbnails: np.ndarray) -> np.ndarray:
    """Amplitudes of the coarsest cosine waves in each window of each thumbnail, weighted by their frequency.

    The weights undo the fall of natural pictures towards fine structure, which makes images comparable by a dot
    product: 1 for equal ones, whatever their brightness and contrast. Without them all aligned faces look alike.

    Args:
        thumbnails: grey values.

    Shape:
        thumbnails ``(N, S, S)``. Gives ``(W, N, F)``, float32, in the order of `WINDOWS`, with rows of length 1 (0 of a
        window of one tone).
    """
    side = thumbnails.shape[1]
    axes = [(_waves(side, top, bottom), _waves(side, left, right)) for top, bottom, left, right in WINDOWS]
    features = np.empty((len(WINDOWS), len(thumbnails), _WAVES**2), np.float32)
    for start in range(0, len(thumbnails), _AT_ONCE):
        values = thumbnails[start : start + _AT_ONCE].astype(np.float32)
        for window, (rows, columns) in enumerate(axes):
            amplitudes = (rows @ values @ columns.T * _frequency()).reshape(len(values), -1)
            lengths = np.linalg.norm(amplitudes, axis=1, keepdims=True)
            features[window, start : start + _AT_ONCE] = amplitudes / np.maximum(lengths, 1e-6)
    return features


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
