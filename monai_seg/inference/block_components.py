"""Connected components of a picture that streams by in bands: bands are labelled alone, then joined along their seams.

The seams make a graph whose nodes are the pieces that a component has in each band. What is known of a component at
the end (size, extent, neighbours) is a sum over its pieces, and so exact. Memory grows with the number of pieces, not
with the picture; above a limit the picture is refused.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

MOST_PIECES = 2**24  # some 500 MB of tables


class TooManyObjectsError(ValueError):
    """A label map falls into so many pieces that their table would not stay small: it is noise."""


class BlockComponents:
    """Number the pieces of bands from top to bottom, and remember which of them touch.

    The same bands give the same numbers in a second pass.

    Args:
        connectivity: 1 for neighbours along the axes, 2 for diagonal ones too.
    """

    def __init__(self, connectivity: int = 2) -> None:
        self.connectivity = connectivity
        self.pieces = 0
        self._edges: list[np.ndarray] = []
        self._seam: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, keys: np.ndarray) -> np.ndarray:
        """Label the next band.

        Args:
            keys: pixels with the same number other than 0 that touch belong together.

        Shape:
            keys ``(n, W)``, whole numbers. Gives the same shape.

        Returns:
            Numbers of pieces from 1 on, counted through all bands; 0 where ``keys`` is.

        Raises:
            TooManyObjectsError: there are more than `MOST_PIECES`.
        """
        numbers, count = label(keys, background=0, connectivity=self.connectivity, return_num=True)
        if self.pieces + count > MOST_PIECES:
            raise TooManyObjectsError(
                f"the label map falls into more than {MOST_PIECES:,} pieces; that is noise, not objects\n"
                "  mend   use another threshold, or predict without cleaning up"
            )
        numbers = np.where(numbers > 0, numbers + self.pieces, 0)
        self.pieces += count
        if self._seam is not None:
            self._join(*self._seam, keys[0], numbers[0])
        self._seam = keys[-1].copy(), numbers[-1].copy()
        return numbers

    def components(self) -> tuple[np.ndarray, int]:
        """The component of each piece, ``(pieces + 1,)``, numbered from 1 by first pieces, and how many there are."""
        edges = np.concatenate(self._edges, axis=1) if self._edges else np.zeros((2, 0), np.int64)
        graph = coo_array((np.ones(edges.shape[1], np.int8), (edges[0], edges[1])), shape=(self.pieces + 1,) * 2)
        # The lone node 0, the background, comes first and keeps the number 0.
        count, component = connected_components(graph, directed=False)
        return component, count - 1

    def _join(self, keys_above: np.ndarray, above: np.ndarray, keys: np.ndarray, numbers: np.ndarray) -> None:
        width = len(keys)
        for step in (0,) if self.connectivity == 1 else (-1, 0, 1):
            up, down = slice(max(0, -step), width - max(0, step)), slice(max(0, step), width - max(0, -step))
            met = (keys_above[up] == keys[down]) & (keys[down] != 0)
            if met.any():
                self._edges.append(np.unique(np.stack([above[up][met], numbers[down][met]]), axis=1).astype(np.int32))
