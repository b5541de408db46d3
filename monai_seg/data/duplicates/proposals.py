"""Which pairs of images may be copies: every image looks for the few that are most like it, without all pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from monai_seg.data.duplicates.features import TURNS, WINDOWS, turned_features, window_features
from monai_seg.data.progress import watched

# On 1,905 aligned faces 98% of random asymmetric crops reach 0.8 with their original, of other faces the best reaches
# it for one in ten; what is proposed in vain costs time only.
LEAST_SIMILARITY = 0.78
MOST_PARTNERS = 6  # proposed by one image
_MOST_HITS = 32  # kept of one image in one cell, where very many are alike
_EXHAUSTIVE = 4096  # images up to which every pair is compared
_IMAGES_PER_CELL, _PROBES = 128, 10
_MOST_SIMILARITIES = 4_000_000  # computed at once by a thread: 16 MB, also where one cell holds nearly all


@dataclass(frozen=True)
class Proposals:
    """Pairs that may be copies, each as ``(P,)`` arrays.

    Args:
        copy: index of the image that may show a window of the other one.
        original: index of the other one.
        turn: index into `TURNS` of what turns the copy.
        window: index into `WINDOWS` of the part of the original.
    """

    copy: np.ndarray
    original: np.ndarray
    turn: np.ndarray
    window: np.ndarray

    def __len__(self) -> int:
        return len(self.copy)


def propose(thumbnails: np.ndarray, progress: bool = False) -> Proposals:
    """Find for each image the few whose whole, turned or cut, is most like it.

    Whole images are compared in all eight turns, windows as they are and mirrored. Of more than 4,096 images only
    those in the nearest cells of a clustering are compared, so that time grows little faster than their number.

    Args:
        thumbnails: of all images.
        progress: whether to show a bar when it takes more than two seconds.

    Shape:
        thumbnails ``(N, S, S)``, uint8.
    """
    features = window_features(thumbnails)
    whole, every = features[0], features.reshape(-1, features.shape[2])
    of_image = np.tile(np.arange(len(whole)), len(WINDOWS))
    searches = [([0, 1], every), (list(range(2, len(TURNS))), whole)]
    hits = [_Search(stored, of_image[: len(stored)]).hits(whole, turns, progress) for turns, stored in searches]
    copy, stored_row, turn, similarity = (np.concatenate(each) for each in zip(*hits, strict=True))
    window, original = np.divmod(stored_row, len(whole))
    kept = _best(copy, original, similarity)
    return Proposals(copy[kept], original[kept], turn[kept], window[kept])


class _Search:
    """Features sorted into cells, so that a query looks into the nearest ones only."""

    def __init__(self, stored: np.ndarray, of_image: np.ndarray) -> None:
        self.stored, self.of_image = stored, of_image
        images = int(of_image.max(initial=-1)) + 1
        count = 1 if images <= _EXHAUSTIVE else images // _IMAGES_PER_CELL
        self.centres = _centres(stored, count)
        nearest = _nearest(stored, self.centres, 1)[:, 0]
        order = np.argsort(nearest, kind="stable")
        self.members = np.split(order, np.searchsorted(nearest[order], np.arange(1, count)))

    def hits(self, whole: np.ndarray, turns: list[int], progress: bool) -> tuple[np.ndarray, ...]:
        """Query, stored row, turn and similarity of all pairs that are alike enough."""
        queries = np.concatenate([turned_features(whole, turn) for turn in turns])
        probed = _nearest(queries, self.centres, min(_PROBES, len(self.centres)))
        order = np.argsort(probed.ravel(), kind="stable")
        rows = order // probed.shape[1]
        bounds = np.searchsorted(probed.ravel()[order], np.arange(len(self.centres) + 1))
        blocks = []
        for cell, members in enumerate(self.members):
            step = max(1, _MOST_SIMILARITIES // max(1, len(members)))
            cuts = range(bounds[cell], bounds[cell + 1], step)
            blocks += [(rows[start : min(start + step, bounds[cell + 1])], members) for start in cuts]
        found = list(watched(self._compare_all(queries, len(whole), blocks), len(blocks), progress, "comparing"))
        query, stored, similarity = (np.concatenate(each) for each in zip(*found, strict=True))
        turn, copy = np.divmod(query, len(whole))
        return copy, stored, np.array(turns)[turn], similarity

    def _compare_all(
        self, queries: np.ndarray, images: int, blocks: list[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, ...]]:
        def compare(block: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
            rows, members = block
            similarity = queries[rows] @ self.stored[members].T
            row, column = np.nonzero(similarity > LEAST_SIMILARITY)
            if len(row) > _MOST_HITS * len(rows):  # very many are alike: the best of each row will do
                best = np.argpartition(-similarity, _MOST_HITS, axis=1)[:, :_MOST_HITS]
                row, column = np.repeat(np.arange(len(rows)), _MOST_HITS), best.ravel()
                alike = similarity[row, column] > LEAST_SIMILARITY
                row, column = row[alike], column[alike]
            other = rows[row] % images != self.of_image[members[column]]
            row, column = row[other], column[other]
            return rows[row], members[column], similarity[row, column]

        # Products and comparisons leave Python's lock.
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            yield from pool.map(compare, blocks)


def _centres(stored: np.ndarray, count: int) -> np.ndarray:
    """Directions around which the features gather: k-means on a sphere, on a sample."""
    if count == 1:
        return np.zeros((1, stored.shape[1]), np.float32)
    generator = np.random.default_rng(0)
    sample = stored[generator.choice(len(stored), min(len(stored), 64 * count), replace=False)]
    centres = sample[:count].copy()
    for _ in range(6):
        nearest = _nearest(sample, centres, 1)[:, 0]
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centres)
    return centres


def _nearest(features: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """The nearest cells of each feature, ``(N, count)``."""
    if len(centres) == 1:
        return np.zeros((len(features), 1), np.int64)
    found = np.empty((len(features), count), np.int64)
    for start in range(0, len(features), 8192):
        similarity = features[start : start + 8192] @ centres.T
        chosen = (
            np.argpartition(-similarity, count - 1, axis=1)[:, :count] if count > 1 else similarity.argmax(1)[:, None]
        )
        found[start : start + 8192] = chosen
    return found


def _best(copy: np.ndarray, original: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Rows to keep: of each pair the likeliest way, and of each image its likeliest partners."""
    order = np.lexsort((-similarity, original, copy))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(copy[order]) != 0) | (np.diff(original[order]) != 0)
    order = order[is_first]
    order = order[np.lexsort((-similarity[order], copy[order]))]
    starts = np.flatnonzero(np.diff(copy[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    order = order[rank < MOST_PARTNERS]
    low, high = np.minimum(copy[order], original[order]), np.maximum(copy[order], original[order])
    order = order[np.lexsort((-similarity[order], high, low))]
    low, high = np.minimum(copy[order], original[order]), np.maximum(copy[order], original[order])
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(low) != 0) | (np.diff(high) != 0)
    return order[is_first]
