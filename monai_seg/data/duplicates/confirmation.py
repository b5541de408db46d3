"""Which of the proposed pairs are copies: brought onto each other, they agree in their fine structure too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_seg.data.duplicates.features import WINDOWS, turned
from monai_seg.data.duplicates.proposals import Proposals
from monai_seg.data.duplicates.registration import register, unit, warped
from monai_seg.data.progress import watched

# Correlation of the fine structure. Of copies (JPEG of quality 20, a quarter of the size, cut, turned, with blown-out
# light) 99 of 100 reach 0.95. Of 1,905 aligned faces two different people reach 0.75, of 232 skull-stripped MR slices
# two different patients 0.91, by their outline; frames of one film or neighbouring slices of one patient pass.
LEAST_AGREEMENT = 0.92
_LEAST_COARSE = 0.75  # the same at half the resolution, below which the fine one is not looked at; 0.63 of other faces
_COARSE_STEPS, _FINE_STEPS = 3, 4
_FINE, _BROAD = 1.0, 3.0  # standard deviations in pixels of a thumbnail: finer is noise, broader what all images share
_AT_ONCE = 128


@dataclass(frozen=True)
class Confirmed:
    """What a comparison of pixels says of each proposal.

    Args:
        agreement: correlation of the fine structure, ``(P,)``; 0 where the coarse one was too low already.
        affine: from the turned copy to its original, see `register`, ``(P, 2, 3)``.
    """

    agreement: np.ndarray
    affine: np.ndarray

    @property
    def is_copy(self) -> np.ndarray:
        """Which proposals are copies, ``(P,)``."""
        return self.agreement >= LEAST_AGREEMENT


def confirm(thumbnails: np.ndarray, proposals: Proposals, progress: bool = False) -> Confirmed:
    """Bring each proposed pair onto each other and compare their pixels.

    Args:
        thumbnails: of all images.
        proposals: pairs of them.
        progress: whether to show a bar when it takes more than two seconds.

    Shape:
        thumbnails ``(N, S, S)``, uint8.
    """
    chunks = [slice(start, start + _AT_ONCE) for start in range(0, len(proposals), _AT_ONCE)]
    agreement = np.zeros(len(proposals), np.float32)
    affine = np.zeros((len(proposals), 2, 3), np.float32)
    results = watched(_confirm_all(thumbnails, proposals, chunks), len(chunks), progress, "confirming")
    for chunk, result in zip(chunks, results, strict=True):
        agreement[chunk], affine[chunk] = result
    return Confirmed(agreement, affine)


def _confirm_all(
    thumbnails: np.ndarray, proposals: Proposals, chunks: list[slice]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    def confirmed(chunk: slice) -> tuple[np.ndarray, np.ndarray]:
        copies = _turned(thumbnails[proposals.copy[chunk]], proposals.turn[chunk])
        originals = thumbnails[proposals.original[chunk]]
        return _compared(copies.astype(np.float32), originals.astype(np.float32), proposals.window[chunk])

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(confirmed, chunks)


def _compared(copies: np.ndarray, originals: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Agreement and map of each pair: those that fail at half the resolution, which is cheap, have agreement 0."""
    small, small_originals = _halved(copies), _halved(originals)
    # Edges lead where broad light and shade would not.
    affine = register(_edges(small), _edges(small_originals), _guess(window), _COARSE_STEPS)
    near = np.flatnonzero(_agreement(small, small_originals, affine, 0.7) > _LEAST_COARSE)
    agreement = np.zeros(len(copies), np.float32)
    if len(near):
        affine[near] = register(copies[near], originals[near], affine[near], _FINE_STEPS)
        agreement[near] = _agreement(copies[near], originals[near], affine[near], 1.0)
    return agreement, affine


def _agreement(copies: np.ndarray, originals: np.ndarray, affine: np.ndarray, scale: float) -> np.ndarray:
    """Correlation of the fine structure of copies and of what lies under them."""
    values, inside = warped(originals, affine)
    ours, theirs = (
        unit(_edges(each, scale).reshape(values.shape), inside) for each in (copies, values.reshape(copies.shape))
    )
    return (ours * theirs).sum(axis=1)


def _turned(images: np.ndarray, turns: np.ndarray) -> np.ndarray:
    result = images.copy()
    for turn in np.unique(turns):
        result[turns == turn] = turned(images[turns == turn], int(turn))
    return result


def _edges(images: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Structure between two scales."""
    fine, broad = ((0, deviation * scale, deviation * scale) for deviation in (_FINE, _BROAD))
    return gaussian_filter(images, fine) - gaussian_filter(images, broad)


def _halved(images: np.ndarray) -> np.ndarray:
    return (images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4


def _guess(window: np.ndarray) -> np.ndarray:
    """The map of a whole copy onto a window of its original."""
    top, bottom, left, right = WINDOWS[window].T
    affine = np.zeros((len(window), 2, 3), np.float32)
    affine[:, 0, 0], affine[:, 0, 2] = bottom - top, top + bottom - 1
    affine[:, 1, 1], affine[:, 1, 2] = right - left, left + right - 1
    return affine
