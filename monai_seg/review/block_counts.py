"""The state of each pixel (hit, false alarm, missed, rightly background), counted in the blocks of a scene."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

# The number of a state in the error map is its place here.
STATES = ("TN", "TP", "FP", "FN")
TN, TP, FP, FN = range(4)


def pixel_states(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """State of each pixel, uint8: 0 TN, 1 TP, 2 FP, 3 FN.

    Shape:
        reference, prediction: bool, of one shape. Gives that shape.
    """
    ones, others = reference.view(np.uint8), prediction.view(np.uint8)
    return ((ones ^ others) << 1) | ones


class BlockSums:
    """Sums of values over the square blocks of a scene whose rows come from top to bottom.

    Blocks at the right and lower edge are cut where the scene ends.

    Args:
        height, width: of the scene, in pixels.
        size: side of a block, in pixels.
        dtype: of the sums.

    Raises:
        ValueError: the size is not positive.
    """

    def __init__(self, height: int, width: int, size: int, dtype: Any = np.uint32) -> None:
        if size < 1:
            raise ValueError(f"the side of a block is {size}; give pixels, 1 or more")
        self.size = size
        self.row_starts, self.col_starts = np.arange(0, height, size), np.arange(0, width, size)
        self.sums = np.zeros((len(self.row_starts), len(self.col_starts)), dtype)
        heights, widths = (np.diff(starts, append=end) for starts, end in self._axes(height, width))
        self.pixels = np.outer(heights, widths)
        self._next = 0

    def add(self, values: np.ndarray) -> None:
        """Add the next rows, ``(n, W)``, as many or few as there are."""
        done = 0
        while done < len(values):
            block = self._next // self.size
            count = min((block + 1) * self.size - self._next, len(values) - done)
            columns = values[done : done + count].sum(axis=0, dtype=self.sums.dtype)
            self.sums[block] += np.add.reduceat(columns, self.col_starts)
            self._next, done = self._next + count, done + count

    def _axes(self, height: int, width: int) -> tuple[tuple[np.ndarray, int], tuple[np.ndarray, int]]:
        return (self.row_starts, height), (self.col_starts, width)


class BlockCounts:
    """How many pixels of each block are in each state; arguments as in `BlockSums`."""

    def __init__(self, height: int, width: int, size: int) -> None:
        self._sums = {state: BlockSums(height, width, size) for state in (TP, FP, FN)}
        first = self._sums[TP]
        self.size, self.pixels = size, first.pixels
        self.row_starts, self.col_starts = first.row_starts, first.col_starts

    def add(self, states: np.ndarray) -> None:
        """Add the next rows of `pixel_states`, ``(n, W)``."""
        for state, sums in self._sums.items():
            sums.add(states == state)

    @property
    def counts(self) -> np.ndarray:
        """Pixels by block row, block column and state, ``(R, C, 4)``, int64; complete once all rows are added."""
        others = [self._sums[state].sums.astype(np.int64) for state in (TP, FP, FN)]
        return np.stack([self.pixels - sum(others), *others], axis=-1)

    def write_csv(self, path: Path) -> None:
        """Write a row per block: its first pixel, its pixels, the foreground shares of both maps, the states."""
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(
                ["row", "col", "pixels", "reference_share", "prediction_share", *(STATES[i] for i in (TP, FP, FN, TN))]
            )
            counts = self.counts
            for i, row in enumerate(self.row_starts.tolist()):
                for j, col in enumerate(self.col_starts.tolist()):
                    tn, tp, fp, fn = counts[i, j].tolist()
                    pixels = tn + tp + fp + fn
                    table.writerow([row, col, pixels, (tp + fn) / pixels, (tp + fp) / pixels, tp, fp, fn, tn])
