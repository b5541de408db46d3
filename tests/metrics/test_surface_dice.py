"""SurfaceDice: one-voxel masks worked out by hand, spacing from the affine, the empty-case policy, what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_seg.metrics import SurfaceDice

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy"),
    pytest.mark.filterwarnings("ignore:.*is all 0, this may result in nan/inf distance"),
]


def one_voxel(shape: tuple[int, ...], *index: int) -> torch.Tensor:
    mask = torch.zeros(1, *shape)
    mask[(0, *index)] = 1
    return mask


def spaced(mask: torch.Tensor, *spacing: float) -> MetaTensor:
    affine = torch.eye(4, dtype=torch.float64)
    affine[range(len(spacing)), range(len(spacing))] = torch.tensor(spacing, dtype=torch.float64)
    return MetaTensor(mask, affine=affine)


def nsd(prediction, reference, tolerance, num_classes=2) -> list[float]:
    return SurfaceDice(num_classes, tolerance)([prediction], [reference])[0].tolist()


# The surface of one voxel is its corners, all of one weight. Of those of a voxel three columns away, the near half
# lies two columns off and the far half three.
@pytest.mark.parametrize(("columns", "share"), [(1.9, 0.0), (2.0, 0.5), (2.9, 0.5), (3.0, 1.0)])
@pytest.mark.parametrize("width_mm", [1.0, 2.5], ids=["isotropic", "anisotropic"])
def test_two_single_pixels(columns, share, width_mm):
    prediction, reference = one_voxel((5, 7), 2, 1), one_voxel((5, 7), 2, 4)
    tolerance = columns * width_mm * (1 + 1e-6)
    assert nsd(prediction, spaced(reference, 1.0, width_mm), tolerance) == [pytest.approx(share)]


@pytest.mark.parametrize(("slices", "share"), [(1.9, 0.0), (2.0, 0.5), (3.0, 1.0)])
def test_two_single_voxels_with_thick_slices(slices, share):
    prediction, reference = one_voxel((3, 4, 6), 1, 2, 1), one_voxel((3, 4, 6), 1, 2, 4)
    assert nsd(prediction, spaced(reference, 0.5, 0.8, 5.0), slices * 5.0 * (1 + 1e-6)) == [pytest.approx(share)]


def test_without_an_affine_the_tolerance_is_in_pixels():
    prediction, reference = one_voxel((5, 7), 2, 1), one_voxel((5, 7), 2, 4)
    assert nsd(prediction, reference, 2.0) == [0.5]


def test_spacing_and_tolerance_scale_together():
    draw = torch.Generator().manual_seed(3)
    prediction, reference = ((torch.rand(1, 6, 7, 5, generator=draw) > 0.7).float() for _ in range(2))
    small = nsd(prediction, spaced(reference, 0.5, 1.0, 2.0), 0.75)
    large = nsd(prediction, spaced(reference, 2.0, 4.0, 8.0), 3.0)
    assert small == pytest.approx(large)
    assert 0 < small[0] < 1


@pytest.mark.parametrize(
    ("prediction", "reference", "value"),
    [
        (one_voxel((4, 4), 1, 1), one_voxel((4, 4), 1, 1), 1.0),
        (torch.zeros(1, 4, 4), one_voxel((4, 4), 1, 1), 0.0),
        (one_voxel((4, 4), 1, 1), torch.zeros(1, 4, 4), 0.0),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), math.nan),
    ],
    ids=["equal", "prediction empty", "reference empty", "both empty"],
)
def test_empty_masks_follow_the_policy(prediction, reference, value):
    assert nsd(prediction, reference, 1.0) == pytest.approx([value], nan_ok=True)


def test_each_class_has_its_own_tolerance():
    prediction = one_voxel((5, 7), 1, 1) + 2 * one_voxel((5, 7), 3, 1)
    reference = one_voxel((5, 7), 1, 4) + 2 * one_voxel((5, 7), 3, 4)
    assert nsd(prediction, reference, [2.0, 3.0], num_classes=3) == [0.5, 1.0]
    assert nsd(prediction, reference, [3.0, 1.0], num_classes=3) == [1.0, 0.0]


def test_background_has_a_value_and_a_tolerance_where_asked():
    reference = one_voxel((5, 7), 2, 4)
    found = SurfaceDice(2, [1.0, 2.0], include_background=True)([one_voxel((5, 7), 2, 1)], [reference])[0]
    assert found[1].item() == 0.5
    assert 0.5 < found[0].item() < 1  # the rim of the image agrees, the holes do not


def test_collated_batch_keeps_each_spacing():
    batch = [{"label": spaced(one_voxel((5, 7), 2, 4), 1.0, width)} for width in (1.0, 2.0)]
    reference = list_data_collate(batch)["label"]
    prediction = one_voxel((5, 7), 2, 1).expand(2, 1, 5, 7)
    assert SurfaceDice(2, 3.0)(prediction, reference)[:, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("thresholds", [-1.0, [1.0], [1.0, 1.0, 1.0], [1.0, -0.1]])
def test_unfit_tolerances_are_refused(thresholds):
    with pytest.raises(ValueError, match=r"class_thresholds is .*; give 2 tolerances of 0 or more"):
        SurfaceDice(3, thresholds)
