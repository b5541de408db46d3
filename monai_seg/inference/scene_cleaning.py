"""Clean up the label map of a scene as if it were held whole: small objects, holes, the largest component.

Each step reads the map twice, band by band: once to learn of each component what decides on it, once to act. The
results are those of the whole picture, whatever the bands; see `block_components` for what that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_seg.inference.block_components import BlockComponents
from monai_seg.inference.row_progress import RowProgress

_BAND_PIXELS = 2**22


@dataclass(frozen=True)
class SceneCleaning:
    """What to do to a label map, in this order.

    Args:
        min_object_size: objects of fewer pixels become background; an object is what touches in one class.
        fill_holes: background that no path along the axes joins with the picture's edge takes the class around it,
            where that is one class only.
        largest_component: ``"each"`` keeps the largest object of each class, ``"all"`` the largest of all
            foreground; of equal ones the first from the top. Empty: keep all.
        connectivity: 1: objects are joined along the axes; 2: diagonally too.

    Raises:
        ValueError: a value is none of these.
    """

    min_object_size: int = 0
    fill_holes: bool = False
    largest_component: str = ""
    connectivity: int = 2

    def __post_init__(self) -> None:
        if self.largest_component not in ("", "each", "all"):
            raise ValueError(f"largest_component is {self.largest_component!r}; give each, all, or nothing")
        if self.connectivity not in (1, 2) or self.min_object_size < 0:
            raise ValueError(f"connectivity is 1 or 2, sizes are not negative: {self}")

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self.min_object_size > 1 or self.fill_holes or bool(self.largest_component)

    def clean(self, map_file: RowFile) -> None:
        """Clean a label map in place.

        Raises:
            TooManyObjectsError: it falls into too many pieces to be told apart in bounded memory.
        """
        if self.min_object_size > 1:
            _keep(map_file, self.connectivity, False, lambda sizes, _: sizes >= self.min_object_size)
        if self.fill_holes:
            _fill_holes(map_file)
        if self.largest_component:
            _keep(map_file, self.connectivity, self.largest_component == "all", _largest)


class RowFile:
    """A label map as bare rows on disk, written and read in bands; it needs as many bytes as it has values.

    Args:
        path: file to make.
        height, width: in pixels.
        dtype: of a label.
    """

    def __init__(self, path: Path, height: int, width: int, dtype: type[np.unsignedinteger]) -> None:
        self.height, self.width, self.dtype = height, width, np.dtype(dtype)
        self._file = path.open("w+b")

    def append(self, rows: np.ndarray) -> None:
        """Write the next rows."""
        self._file.write(rows.astype(self.dtype).tobytes())

    def bands(self) -> Iterator[tuple[int, np.ndarray]]:
        """First row and rows of each band from top to bottom."""
        rows, progress = max(1, _BAND_PIXELS // self.width), RowProgress("clean up the label map", self.height)
        for start in range(0, self.height, rows):
            count = min(rows, self.height - start)
            self._file.seek(start * self.width * self.dtype.itemsize)
            content = self._file.read(count * self.width * self.dtype.itemsize)
            yield start, np.frombuffer(content, self.dtype).reshape(count, self.width)
            progress.at(start + count)

    def put(self, start: int, rows: np.ndarray) -> None:
        """Write rows over those that are there."""
        self._file.seek(start * self.width * self.dtype.itemsize)
        self._file.write(rows.astype(self.dtype).tobytes())

    def close(self) -> None:
        """Close the file; who made its folder removes it."""
        self._file.close()


def _keep(
    map_file: RowFile,
    connectivity: int,
    is_joint: bool,
    choose: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Keep the components that ``choose`` picks by their sizes and classes."""
    found, pieces, classes = BlockComponents(connectivity), [np.zeros(1, np.int64)], [np.zeros(1, map_file.dtype)]
    for _, labels in map_file.bands():
        before = found.pieces
        numbers = found.add(labels > 0 if is_joint else labels)
        pieces.append(np.bincount((numbers - before)[labels > 0], minlength=found.pieces - before + 1)[1:])
        of_piece = np.zeros(found.pieces - before + 1, map_file.dtype)
        if not is_joint:
            of_piece[np.where(labels > 0, numbers - before, 0)] = labels
        classes.append(of_piece[1:])
    component, count = found.components()
    sizes = np.bincount(component, weights=np.concatenate(pieces), minlength=count + 1).astype(np.int64)
    class_of = np.zeros(count + 1, map_file.dtype)
    class_of[component] = np.concatenate(classes)
    kept = np.zeros(count + 1, bool)
    kept[1:] = choose(sizes[1:], class_of[1:])
    is_kept = kept[component]
    if is_kept[1:].all():
        return
    again = BlockComponents(connectivity)
    for start, labels in map_file.bands():
        numbers = again.add(labels > 0 if is_joint else labels)
        map_file.put(start, np.where(is_kept[numbers], labels, 0))


def _largest(sizes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    kept = np.zeros(len(sizes), bool)
    for value in np.unique(classes):
        kept[np.where(classes == value, sizes, -1).argmax()] = True
    return kept


def _fill_holes(map_file: RowFile) -> None:
    """Background components that touch no edge of the picture take the class around them."""
    found = BlockComponents(connectivity=1)  # the complement of diagonal connectivity
    top = np.iinfo(map_file.dtype).max
    open_pieces, lowest, highest = [np.array([True])], [np.zeros(1, map_file.dtype)], [np.zeros(1, map_file.dtype)]
    above: tuple[np.ndarray, np.ndarray] | None = None
    for start, labels in map_file.bands():
        before = found.pieces
        numbers = found.add(labels == 0)
        local = found.pieces - before
        low, high, is_open = np.full(local, top), np.zeros(local, map_file.dtype), np.zeros(local + 1, bool)
        for side, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
            for here, there in ((side, other), (other, side)):
                _note(numbers[here], labels[there], before, low, high)
        if above is not None:
            last_numbers, last_labels = above
            _note(numbers[0], last_labels, before, low, high)
            # The band above is closed: what its holes meet below is noted in its own table.
            _note(last_numbers, labels[0], before - len(lowest[-1]), lowest[-1], highest[-1])
        edges = [numbers[:, 0], numbers[:, -1]]
        edges += [numbers[0]] if start == 0 else []
        edges += [numbers[-1]] if start + len(labels) == map_file.height else []
        for edge in edges:
            is_open[np.maximum(edge - before, 0)] = True
        open_pieces.append(is_open[1:])
        lowest.append(low.astype(map_file.dtype))
        highest.append(high)
        above = numbers[-1].copy(), labels[-1].copy()
    component, count = found.components()
    is_open, low, high = np.zeros(count + 1, bool), np.full(count + 1, top), np.zeros(count + 1, map_file.dtype)
    np.logical_or.at(is_open, component, np.concatenate(open_pieces))
    np.minimum.at(low, component, np.concatenate(lowest))
    np.maximum.at(high, component, np.concatenate(highest))
    filling = np.where(~is_open & (low == high), high, 0)
    filling[0] = 0
    filling = filling[component]
    if not filling.any():
        return
    again = BlockComponents(connectivity=1)
    for start, labels in map_file.bands():
        numbers = again.add(labels == 0)
        map_file.put(start, np.where(labels == 0, filling[numbers], labels))


def _note(numbers: np.ndarray, labels: np.ndarray, before: int, low: np.ndarray, high: np.ndarray) -> None:
    """Note which classes lie beside pieces of background."""
    met = (numbers > 0) & (labels > 0)
    np.minimum.at(low, numbers[met] - before - 1, labels[met])
    np.maximum.at(high, numbers[met] - before - 1, labels[met])
