"""How long or large a surface element is, by which of the 2^d voxels around it belong to the mask.

A surface element sits at a corner of the voxel grid. Its code has one bit for each voxel around the corner, the first
for the voxel with the lowest indices: ``0b0001`` is a mask that fills only the last of the four pixels around it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import torch

# Of each way in which a mask can fill the eight voxels around a corner, but for rotation, reflection and exchange of
# inside and outside: the triangles that cut it (marching cubes), as absolute components of their area vectors in
# eighths of a voxel face. The values are those of ``neighbour_code_to_normals`` in google-deepmind/surface-distance
# (Apache-2.0), which spells out all 256 codes.
_TRIANGLES = {
    0b00000000: (),
    0b00000001: ((1, 1, 1),),
    0b00000011: ((2, 2, 0), (2, 2, 0)),
    0b00000110: ((1, 1, 1), (1, 1, 1)),
    0b00000111: ((1, 1, 1), (2, 2, 2), (4, 0, 0)),
    0b00001111: ((4, 0, 0), (4, 0, 0)),
    0b00010110: ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    0b00010111: ((1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)),
    0b00011000: ((1, 1, 1), (1, 1, 1)),
    0b00011001: ((0, 2, 2), (0, 2, 2), (1, 1, 1)),
    0b00011011: ((0, 2, 2), (1, 1, 1), (2, 0, 2), (3, 3, 3)),
    0b00011110: ((1, 1, 1), (1, 1, 1), (2, 2, 2), (4, 0, 0)),
    0b00111100: ((2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)),
    0b01101001: ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
}


@functools.lru_cache(maxsize=256)
def element_areas(spacing: tuple[float, ...]) -> torch.Tensor:
    """Length (2D, mm) or area (3D, mm^2) of a surface element of each code.

    Args:
        spacing: size of a voxel along each axis, in mm.

    Shape:
        Gives ``(16,)`` in 2D, ``(256,)`` in 3D, float64, on the CPU.

    Source:
        arXiv:1809.04430 and its reference implementation; in 2D the length of the contour of marching squares.
    """
    return _contour_lengths(*spacing) if len(spacing) == 2 else _triangle_areas(spacing)


def _contour_lengths(rows: float, columns: float) -> torch.Tensor:
    diagonal = 0.5 * math.sqrt(rows * rows + columns * columns)
    lengths = [0.0] * 16
    for code in range(1, 15):
        if code.bit_count() != 2:
            lengths[code] = diagonal
        elif code in (0b0110, 0b1001):  # two pixels that touch at the corner only
            lengths[code] = 2 * diagonal
        else:
            lengths[code] = columns if code in (0b0011, 0b1100) else rows
    return torch.tensor(lengths, dtype=torch.float64)


def _triangle_areas(spacing: Sequence[float]) -> torch.Tensor:
    faces = (spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1])
    areas = [0.0] * 256
    for representative, triangles in _TRIANGLES.items():
        for code, axes in _symmetric(representative):
            turned = ([triangle[axis] for axis in axes] for triangle in triangles)
            # In one order, so that codes that are alike weigh exactly the same.
            sizes = sorted(
                math.sqrt(sum((part / 8 * face) ** 2 for part, face in zip(triangle, faces, strict=True)))
                for triangle in turned
            )
            areas[code] = areas[255 - code] = math.fsum(sizes)
    return torch.tensor(areas, dtype=torch.float64)


def _symmetric(code: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The codes that a rotation or reflection of the cube makes of one, and which old axis each new axis is."""
    positions = list(itertools.product((0, 1), repeat=3))
    filled = [position for index, position in enumerate(positions) if code >> (7 - index) & 1]
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((0, 1), repeat=3):
            turns = list(zip(axes, flips, strict=True))
            moved = (tuple(position[axis] ^ flip for axis, flip in turns) for position in filled)
            yield sum(1 << (7 - positions.index(position)) for position in moved), axes
