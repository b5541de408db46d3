"""Copies among images: the same file, the same pixels in another file, or nearly the same picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_seg.data.duplicates.confirmation import confirm
from monai_seg.data.duplicates.features import TURNS
from monai_seg.data.duplicates.prints import Print
from monai_seg.data.duplicates.proposals import propose

SAME_FILE, SAME_VALUES, NEAR = "same file", "same pixels", "near copy"
_WHOLE = 0.97  # share of a side, above which a copy is not called a part


@dataclass(frozen=True)
class Copy:
    """Two images that show the same.

    Args:
        first, second: their indices.
        kind: `SAME_FILE`, `SAME_VALUES` or `NEAR`.
        agreement: correlation of their fine structure once they lie on each other, 1 for the same pixels.
        how: what was done to one of them, such as "mirrored, 81% of it"; empty where nothing is to be seen.
    """

    first: int
    second: int
    kind: str
    agreement: float = 1.0
    how: str = ""


def find_copies(prints: Sequence[Print | None], progress: bool = False) -> list[Copy]:
    """Find exact copies of all images, and near copies of pictures.

    Of several exact copies each is named with the first of them, and only that one is looked for among the others: who
    wants everything that shows the same takes `clusters`.

    Args:
        prints: what is kept of each image; None of one that could not be read.
        progress: whether to show bars when it takes more than two seconds.

    Returns:
        Pairs in the order of their images, the earlier image first.
    """
    copies, single = _exact(prints)
    small = {index: each.thumbnail for index in single if (each := prints[index]) and each.thumbnail is not None}
    pictures = list(small)
    if len(pictures) > 1:
        thumbnails = np.stack(list(small.values()))
        proposals = propose(thumbnails, progress)
        confirmed = confirm(thumbnails, proposals, progress)
        for row in np.flatnonzero(confirmed.is_copy).tolist():
            pair = sorted((pictures[proposals.copy[row]], pictures[proposals.original[row]]))
            how = _how(int(proposals.turn[row]), confirmed.affine[row])
            copies.append(Copy(pair[0], pair[1], NEAR, min(1.0, float(confirmed.agreement[row])), how))
    return sorted(copies, key=lambda copy: (copy.first, copy.second))


def clusters(copies: Sequence[Copy]) -> list[list[int]]:
    """Images that show the same, directly or by way of others: sorted indices, two or more each."""
    parent: dict[int, int] = {}

    def root(index: int) -> int:
        while parent.setdefault(index, index) != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for copy in copies:
        one, other = sorted((root(copy.first), root(copy.second)))
        parent[other] = one
    found: dict[int, list[int]] = {}
    for index in sorted(parent):
        found.setdefault(root(index), []).append(index)
    return list(found.values())


def _exact(prints: Sequence[Print | None]) -> tuple[list[Copy], list[int]]:
    """Copies of the same values, and one image of each content."""
    first_of: dict[str, int] = {}
    copies = []
    for index, each in enumerate(prints):
        if each is None:
            continue
        first = first_of.setdefault(each.value_hash, index)
        if first != index:
            known = prints[first]
            is_file = known is not None and known.file_hash == each.file_hash
            copies.append(Copy(first, index, SAME_FILE if is_file else SAME_VALUES))
    return copies, list(first_of.values())


def _how(turn: int, affine: np.ndarray) -> str:
    share = math.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
    angle = math.degrees(math.atan2(affine[1, 0] - affine[0, 1], affine[0, 0] + affine[1, 1]))
    parts = [TURNS[turn]] if turn else []
    if share < _WHOLE or share > 1 / _WHOLE:
        parts.append(f"{min(share, 1 / share) ** 2:.0%} of it")
    if abs(angle) > 1.0:
        parts.append(f"turned by {abs(angle):.0f} degrees")
    return ", ".join(parts)
