"""Lengths and areas of surface elements: the reference implementation's tables, and surfaces known in closed form."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from monai_seg.metrics.masks import mask_pair
from monai_seg.metrics.surface.areas import element_areas
from monai_seg.metrics.surface.elements import SurfaceElements

try:
    from surface_distance import lookup_tables
except ImportError:
    lookup_tables = None

needs_reference = pytest.mark.skipif(
    lookup_tables is None, reason="needs the package surface-distance, which pip install -e '.[dev]' brings"
)
SPACINGS = [(1.0, 1.0, 1.0), (0.1, 0.1, 0.1), (0.1, 10.0, 1.0), (10.0, 0.3, 0.7), (5.0, 0.3, 0.3), (1 / 3, 2 / 7, 0.9)]


def surface_size(mask: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Length or area of the surface of a mask, from the elements that were found and what they weigh."""
    both = mask_pair(*[torch.from_numpy(mask.astype(np.uint8))[None, None]] * 2, num_classes=2)
    codes = torch.cat([piece.code for piece in SurfaceElements(both)])
    return math.fsum(element_areas(spacing)[codes.long()]) / 2


@needs_reference
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_tables_of_the_reference_implementation(spacing):
    areas = np.array(lookup_tables.create_table_neighbour_code_to_surface_area(spacing))
    np.testing.assert_allclose(element_areas(spacing).numpy(), areas, rtol=1e-15)
    lengths = np.array(lookup_tables.create_table_neighbour_code_to_contour_length(spacing[:2]))
    np.testing.assert_allclose(element_areas(spacing[:2]).numpy(), lengths, rtol=1e-15)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_inside_and_outside_have_one_surface_and_only_they_have_none(spacing):
    for sizes in (spacing[:2], spacing):
        areas = element_areas(sizes)
        assert torch.equal(areas, areas.flip(0))
        assert torch.equal((areas == 0).nonzero().flatten(), torch.tensor([0, len(areas) - 1]))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_turning_the_voxel_turns_the_spacing(axes):
    spacing, codes = (0.3, 0.7, 1.9), np.arange(256)
    voxels = np.unpackbits(codes.astype(np.uint8)[:, None], axis=1).reshape(-1, 2, 2, 2)
    turned = np.packbits(voxels.transpose(0, *(axis + 1 for axis in axes)).reshape(-1, 8), axis=1)[:, 0]
    areas = element_areas(tuple(spacing[axis] for axis in axes))
    np.testing.assert_allclose(areas[turned.astype(int)], element_areas(spacing), rtol=1e-15)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (5, 1), (7, 12), (300, 500)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.3, 2.5)], ids=str)
def test_contour_of_a_rectangle_cuts_its_corners(rows, columns, spacing):
    mask = np.zeros((rows + 3, columns + 2), bool)
    mask[1:-2, 1:-1] = True
    height, width = rows * spacing[0], columns * spacing[1]
    # A corner goes from the middle of one pixel's edge to that of the other: half a pixel less along each.
    expected = 2 * (height - spacing[0]) + 2 * (width - spacing[1]) + 4 * math.hypot(*spacing) / 2
    assert surface_size(mask, spacing) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("sides", [(1, 1, 1), (1, 1, 4), (2, 1, 3), (3, 4, 5), (60, 40, 80)], ids=str)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.3, 2.5, 0.8)], ids=str)
def test_surface_of_a_box_cuts_its_edges_and_corners(sides, spacing):
    mask = np.zeros([side + 2 for side in sides], bool)
    mask[1:-1, 1:-1, 1:-1] = True
    lengths = [(side - 1) * size for side, size in zip(sides, spacing, strict=True)]
    faces = [spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]]
    expected = math.hypot(*faces)  # 8 corners of an eighth each
    for axis, (first, second) in enumerate([(1, 2), (0, 2), (0, 1)]):
        expected += 2 * lengths[first] * lengths[second]
        # 4 edges along the axis, each a slope from the middle of one face of a voxel to that of the other.
        expected += 4 * lengths[axis] * math.hypot(spacing[first], spacing[second]) / 2
    found = surface_size(mask, spacing)
    assert found == pytest.approx(expected, rel=1e-13)
    if min(sides) >= 40:
        whole = [side * size for side, size in zip(sides, spacing, strict=True)]
        box = 2 * (whole[0] * whole[1] + whole[1] * whole[2] + whole[0] * whole[2])
        assert 0.97 * box < found < box


@pytest.mark.parametrize("shape", [(9, 14), (6, 8, 11)], ids=str)
def test_what_fills_the_image_has_the_surface_of_a_box_in_a_larger_one(shape):
    spacing, inside = (0.6, 1.7, 2.3)[: len(shape)], np.zeros([side + 2 for side in shape], bool)
    inside[(slice(1, -1),) * len(shape)] = True
    assert surface_size(np.ones(shape, bool), spacing) == surface_size(inside, spacing)
