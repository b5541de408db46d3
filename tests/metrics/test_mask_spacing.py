"""The size of a voxel: the forms in which it is given, and what the affine of the reference says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_seg.metrics.comparison import comparisons
from monai_seg.metrics.masks import MaskError
from monai_seg.metrics.overlap import Dice

PIXEL = [0.5, 2.0]


def spaced(masks: torch.Tensor, *sizes: float) -> MetaTensor:
    return MetaTensor(masks, affine=torch.diag(torch.tensor([*sizes, 3.0, 1.0][:4], dtype=torch.float64)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [(1.0, 1.0)] * 2),
        (2, [(2.0, 2.0)] * 2),
        (np.float32(2), [(2.0, 2.0)] * 2),
        ([2.0], [(2.0, 2.0)] * 2),
        ((0.5, 2), [(0.5, 2.0)] * 2),
        (np.array(PIXEL), [(0.5, 2.0)] * 2),
        (torch.tensor(PIXEL), [(0.5, 2.0)] * 2),
        ([torch.tensor(0.5), np.float32(2)], [(0.5, 2.0)] * 2),
        ([PIXEL, [3.0, 4.0]], [(0.5, 2.0), (3.0, 4.0)]),
        (np.array([PIXEL, [3.0, 4.0]]), [(0.5, 2.0), (3.0, 4.0)]),
        ([torch.tensor(PIXEL), (3, 4)], [(0.5, 2.0), (3.0, 4.0)]),
        ([[2.0], [3.0]], [(2.0, 2.0), (3.0, 3.0)]),
        ([2.0, PIXEL], [(2.0, 2.0), (0.5, 2.0)]),
    ],
    ids=str,
)
def test_forms_of_spacing(given, expected):
    masks = torch.ones(2, 1, 3, 4)
    for form in (torch.clone, list):
        (comparison,) = comparisons(form(masks), form(masks), 2, spacing=given)
        assert comparison.spacing == expected
        diagonals = [math.hypot(3 * height, 4 * width) for height, width in expected]
        assert comparison.diagonal.flatten().tolist() == pytest.approx(diagonals)


def compared_spacing(reference: torch.Tensor) -> list[tuple[float, ...]]:
    return comparisons([torch.zeros(reference.shape)], [reference], 2)[0].spacing


def test_spacing_comes_from_the_affine_of_the_reference_unless_it_is_given():
    masks = torch.ones(1, 3, 4)
    each = [spaced(masks, 0.5, 2.0), spaced(masks, 3.0, 4.0)]
    collated = list_data_collate([{"label": label} for label in each])["label"]
    plain = torch.ones(2, 1, 3, 4)
    expected = [(0.5, 2.0), (3.0, 4.0)]
    assert comparisons(plain, collated, 2)[0].spacing == expected
    assert comparisons(list(plain), each, 2)[0].spacing == expected
    assert comparisons(list(plain), [each[0], masks], 2)[0].spacing == [(0.5, 2.0), (1.0, 1.0)]
    assert comparisons(plain[:1], each[0][None], 2)[0].spacing == expected[:1]
    assert comparisons(plain[:1], collated[1:], 2)[0].spacing == expected[1:]
    assert comparisons(plain, collated, 2, spacing=7.0)[0].spacing == [(7.0, 7.0)] * 2
    assert comparisons(collated, plain, 2)[0].spacing == [(1.0, 1.0)] * 2
    # Kept comparisons do not outlast a change of the affine, which is none of the voxels.
    label = each[0]
    assert comparisons([masks], [label], 2)[0].spacing == expected[:1]
    label.affine = each[1].affine
    assert comparisons([masks], [label], 2)[0].spacing == expected[1:]
    # A sagittal slice: its axes are the second and third of the scanner.
    affine = torch.tensor([[0.0, 0, 4, 9], [2, 0, 0, 9], [0, -3, 0, 9], [0, 0, 0, 1]])
    assert compared_spacing(MetaTensor(masks, affine=affine)) == [(2.0, 3.0)]
    assert compared_spacing(MetaTensor(masks, affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])))) == [(2.0, 3.0)]
    assert compared_spacing(MetaTensor(masks, affine=torch.diag(torch.tensor([2.0, 0.0, 1.0])))) == [(2.0, 1.0)]
    sizes = [(1, 2, 3), (1, 4, 5)]
    found = comparisons([torch.ones(size) for size in sizes], [spaced(torch.ones(size), *PIXEL) for size in sizes], 2)
    assert [comparison.spacing for comparison in found] == [[(0.5, 2.0)]] * 2


MAP = torch.zeros(2, 1, 3, 4)


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        (0.0, "spacing is 0.0; give 2 sizes of a voxel in mm, finite and greater than 0"),
        (-1, "spacing is -1; give 2 sizes"),
        (math.nan, "spacing is nan; give 2 sizes"),
        ((1.0, math.inf), "give 2 sizes"),
        ((1.0, 1.0, 1.0), r"spacing is \[1.0, 1.0, 1.0\]; give 2 sizes"),
        ([], "give 2 sizes"),
        ("1.0", "spacing is 1.0; give 2 sizes"),
        ([[1.0, 1.0]], "spacing is given for 1 cases of 2; give it for each, or one for all"),
        ([[1.0, 1.0], [1.0, 0.0]], r"spacing is \[1.0, 0.0\]; give 2 sizes"),
    ],
)
def test_unfit_spacing(spacing, message):
    with pytest.raises(MaskError, match=message):
        Dice(2)(MAP, MAP, spacing=spacing)


def test_only_what_needs_the_spacing_minds_an_unfit_affine():
    flat = MetaTensor(torch.ones(1, 2, 3, 4), affine=torch.eye(3))
    unknown = MetaTensor(torch.ones(1, 2, 3), affine=torch.full((4, 4), math.nan))
    item = list_data_collate([{"label": spaced(torch.ones(1, 2, 3), *PIXEL)}])["label"]
    for reference, message in [
        ([flat], "give 3 sizes of a voxel"),
        ([unknown], r"spacing is \[\[nan, .*; give 2 sizes of a voxel"),
        (torch.cat([item, item]), "the reference has the affines of 1 cases for 2; give the spacing"),
    ]:
        masks = list(map(torch.ones_like, reference)) if isinstance(reference, list) else torch.ones(2, 1, 2, 3)
        assert (Dice(2)(masks, reference) == 1).all()
        with pytest.raises(MaskError, match=message):
            comparisons(masks, reference, 2)[0].diagonal
        assert comparisons(masks, reference, 2, spacing=2.0)[0].diagonal.min() > 0
