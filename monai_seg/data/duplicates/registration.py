"""Bring many pairs of small images onto each other at once."""

from __future__ import annotations

import numpy as np

_LEAST_OVERLAP = 0.8  # of a template; less says little about the whole
_MOST_STEP = 0.1  # of half a side, in one iteration
_DAMPING = 1e-3


def register(templates: np.ndarray, images: np.ndarray, affine: np.ndarray, iterations: int) -> np.ndarray:
    """Find the affine maps under which templates agree best with their images, from a good guess on.

    Gauss-Newton on the normalised difference, inverse compositional: the template's gradients serve all iterations.

    Args:
        templates: one for each pair.
        images: where each template is looked for.
        affine: the guess.
        iterations: steps.

    Shape:
        templates, images ``(P, S, S)``, float32; affine ``(P, 2, 3)``.

    Returns:
        Affine maps from centred coordinates of a template to those of its image, both -1 to 1, row before column,
        ``(P, 2, 3)``. Those of a step that agrees best; the guess where the two never overlap enough.

    Source:
        Baker and Matthews 2004 (IJCV 56), section 3.2; normalised as in Evangelidis and Psarakis 2008 (TPAMI 30).
    """
    row, column = _grid(templates.shape[1])
    inside = np.ones((len(templates), len(row)), bool)
    template = unit(templates.reshape(len(templates), -1), inside)
    gradients = _gradients(template, templates.shape[1], row, column)
    normal = gradients @ gradients.transpose(0, 2, 1)
    mean_trace = np.trace(normal, axis1=1, axis2=2)[:, None, None] / 6
    inverse = np.linalg.inv(normal + (_DAMPING * mean_trace + 1e-12) * np.eye(6, dtype=np.float32))
    found = affine.astype(np.float32)
    best, similarity = found.copy(), np.full(len(found), -2.0, np.float32)
    for iteration in range(iterations + 1):
        values, inside = warped(images, found)
        masked = template if inside.all() else unit(template, inside)
        values = unit(values, inside)
        now = (masked * values).sum(axis=1)
        is_better = (now > similarity) & (inside.mean(axis=1) > _LEAST_OVERLAP)
        best[is_better], similarity[is_better] = found[is_better], now[is_better]
        if iteration < iterations:
            # A pair without contrast in common gives no direction; it stays where it is.
            step = inverse @ (gradients @ (values - masked)[:, :, None])
            found = _composed(found, np.clip(np.nan_to_num(step[:, :, 0]), -_MOST_STEP, _MOST_STEP))
    return best


def warped(images: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of images where the pixels of a template come to lie, by linear interpolation, and which are inside.

    Shape:
        images ``(P, S, S)``, affine ``(P, 2, 3)``. Gives two times ``(P, S * S)``.
    """
    side = images.shape[1]
    row, column = _grid(side)
    place = affine[:, :, :2] @ np.stack([row, column]) + affine[:, :, 2:]
    place = (place + 1) * (side / 2) - 0.5
    inside = ((place >= -0.5) & (place <= side - 0.5)).all(axis=1)
    place = np.clip(place, 0, side - 1.001)
    corner = place.astype(np.int32)
    share_row, share_column = (place - corner.astype(np.float32)).transpose(1, 0, 2)
    flat = images.reshape(-1)
    index = corner[:, 0] * side + corner[:, 1] + (np.arange(len(images), dtype=np.int64) * side * side)[:, None]
    above, below = flat[index], flat[index + side]
    above = above + (flat[index + 1] - above) * share_column
    below = below + (flat[index + side + 1] - below) * share_column
    return above + (below - above) * share_row, inside


def unit(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and length 1 over what is inside, and 0 elsewhere."""
    weight = inside.astype(np.float32)
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1)
    centred = (values - (values * weight).sum(axis=1, keepdims=True) / count) * weight
    return centred / np.maximum(np.sqrt((centred * centred).sum(axis=1, keepdims=True)), 1e-6)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)
    return np.repeat(centres, side), np.tile(centres, side)


def _gradients(template: np.ndarray, side: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """How pixels change with each of the six numbers of a map, brightness and contrast put aside, ``(P, 6, S * S)``."""
    along_row, along_column = np.gradient(template.reshape(-1, side, side), 2 / side, axis=(1, 2))
    along_row, along_column = along_row.reshape(template.shape), along_column.reshape(template.shape)
    parts = [along * factor for along in (along_row, along_column) for factor in (row, column, np.float32(1))]
    gradients = np.stack(parts, axis=1)
    gradients -= gradients.mean(axis=2, keepdims=True)
    return gradients - (gradients @ template[:, :, None]) * template[:, None]


def _composed(affine: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The map after one step: the inverse of the step's own small map comes first."""
    square = np.tile(np.eye(3, dtype=np.float32), (len(affine), 1, 1))
    small = square.copy()
    small[:, :2] += step.reshape(-1, 2, 3)
    square[:, :2] = affine
    return (square @ np.linalg.inv(small))[:, :2]
