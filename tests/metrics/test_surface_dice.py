"""SurfaceDice: cases worked out by hand, the forms of masks and spacing, empty masks, errors, and MONAI's own calls."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.metrics import SurfaceDiceMetric
from monai.networks.utils import one_hot

from monai_seg.metrics import SurfaceDice
from monai_seg.metrics.masks import MaskError
from monai_seg.metrics.surface import HausdorffDistance, surface_dice

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy"),
    pytest.mark.filterwarnings("ignore:.*is all 0, this may result in nan/inf distance"),
]

DEFINITIONS = ("subvoxel", "monai_subvoxel", "monai_border")
CLASSES = 4
TOLERANCES = [0.5, 1.5, 2.25]


def one_voxel(shape: tuple[int, ...], *index: int) -> torch.Tensor:
    mask = torch.zeros(1, *shape)
    mask[(0, *index)] = 1
    return mask


def box(shape: tuple[int, ...], *slices: slice) -> torch.Tensor:
    mask = torch.zeros(1, *shape)
    mask[(0, *slices)] = 1
    return mask


def spaced(mask: torch.Tensor, *spacing: float) -> MetaTensor:
    affine = torch.eye(4, dtype=torch.float64)
    affine[range(len(spacing)), range(len(spacing))] = torch.tensor(spacing, dtype=torch.float64)
    return MetaTensor(mask, affine=affine)


def nsd(prediction, reference, tolerances, **options) -> list[float]:
    return SurfaceDice(tolerances, **options)([prediction], [reference])[0].tolist()


def random_maps(shape: tuple[int, ...] = (9, 11), batch: int = 3, classes: int = CLASSES) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(11)
    return [torch.randint(0, classes, (batch, 1, *shape), generator=draw) for _ in range(2)]


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


# The surface of one voxel is its corners, all of one weight. Of those of a voxel three columns away, the near half
# lies two columns off and the far half three. The voxels themselves are three columns apart.
@pytest.mark.parametrize(("columns", "of_corners", "of_voxels"), [(1.9, 0, 0), (2.0, 0.5, 0), (2.9, 0.5, 0), (3, 1, 1)])
@pytest.mark.parametrize("width_mm", [1.0, 2.5], ids=["isotropic", "anisotropic"])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_two_single_pixels(columns, of_corners, of_voxels, width_mm, definition):
    masks = one_voxel((5, 7), 2, 1), spaced(one_voxel((5, 7), 2, 4), 1.0, width_mm)
    share = of_voxels if definition == "monai_border" else of_corners
    assert nsd(*masks, [columns * width_mm], definition=definition) == [share]


@pytest.mark.parametrize(("slices", "of_corners", "of_voxels"), [(1.9, 0, 0), (2.0, 0.5, 0), (3.0, 1, 1)])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_two_single_voxels_with_thick_slices(slices, of_corners, of_voxels, definition):
    masks = one_voxel((3, 4, 6), 1, 2, 1), spaced(one_voxel((3, 4, 6), 1, 2, 4), 0.5, 0.8, 5.0)
    share = of_voxels if definition == "monai_border" else of_corners
    assert nsd(*masks, [slices * 5.0], definition=definition) == [share]


# The reference has 2 x 3 pixels, the prediction one column more. Of 10 corners of the reference all but the middle of
# its right side are corners of the prediction; of these 12 all but three are of the reference. A corner in a straight
# side stands for one pixel's length, one where the contour turns for half a pixel's diagonal. As pixels, 6 of 6 and
# 6 of 8 agree.
DIAGONAL = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("definition", "tolerance", "value"),
    [
        ("subvoxel", 0.0, (5 + 4 * DIAGONAL + 7 + 2 * DIAGONAL) / (6 + 4 * DIAGONAL + 8 + 4 * DIAGONAL)),
        ("subvoxel", 1.0, 1.0),
        ("monai_border", 0.0, 12 / 14),
        ("monai_border", 1.0, 1.0),
    ],
)
@pytest.mark.parametrize("turn", [False, True])
def test_one_column_too_many(definition, tolerance, value, turn):
    masks = box((6, 9), slice(2, 4), slice(2, 6)), box((6, 9), slice(2, 4), slice(2, 5))
    if turn:
        masks = [mask.transpose(1, 2) for mask in masks]
    assert nsd(*masks, [tolerance], definition=definition) == [pytest.approx(value, rel=1e-15)]


def test_image_border_is_surface():
    left, all_but_left = box((4, 8), slice(0, 4), slice(0, 1)), box((4, 8), slice(0, 4), slice(1, 8))
    # Both have the inner line of 3 corners; where it meets the border, the corners of both are half a diagonal.
    # The other corners lie on the border, those of the left on its column of 3 and its two turns.
    both = 2 * (3 + 2 * DIAGONAL)
    rest = (3 + 2 * DIAGONAL) + (2 * 6 + 3 + 2 * DIAGONAL)
    assert nsd(left, all_but_left, [0.0]) == [pytest.approx(both / (both + rest))]


def test_without_an_affine_the_tolerance_is_in_pixels():
    assert nsd(one_voxel((5, 7), 2, 1), one_voxel((5, 7), 2, 4), [2.0]) == [0.5]


def test_spacing_and_tolerance_scale_together():
    draw = torch.Generator().manual_seed(3)
    prediction, reference = ((torch.rand(1, 6, 7, 5, generator=draw) > 0.7).float() for _ in range(2))
    small = nsd(prediction, spaced(reference, 0.5, 1.0, 2.0), [0.75])
    large = nsd(prediction, spaced(reference, 2.0, 4.0, 8.0), [3.0])
    assert small == large
    assert 0 < small[0] < 1


@pytest.mark.parametrize("definition", DEFINITIONS)
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
def test_empty_masks_follow_the_policy(prediction, reference, value, definition):
    for tolerance in (0.0, 1.0, 1000.0):
        found = nsd(prediction, reference, [tolerance], definition=definition)
        assert found == pytest.approx([value], nan_ok=True)


def test_empty_masks_beside_others():
    prediction, reference = torch.zeros(4, 1, 5, 7), torch.zeros(4, 1, 5, 7)
    prediction[0, 0, 2, 2] = reference[0, 0, 2, 2] = reference[1, 0, 1, 1] = prediction[2, 0, 1, 1] = 2
    nan = math.nan
    expected = [[nan, 1.0, nan], [nan, 0.0, nan], [nan, 0.0, nan], [nan, nan, nan]]
    found = surface_dice(prediction, reference, TOLERANCES)
    np.testing.assert_array_equal(found, expected)
    metric = SurfaceDice(TOLERANCES, reduction="mean_batch", get_not_nans=True)
    metric(prediction, reference)
    value, count = metric.aggregate()
    assert value.tolist() == pytest.approx([nan, 1 / 3, nan], nan_ok=True)
    assert count.tolist() == [0, 3, 0]


def test_each_class_has_its_own_tolerance():
    prediction = one_voxel((5, 7), 1, 1) + 2 * one_voxel((5, 7), 3, 1)
    reference = one_voxel((5, 7), 1, 4) + 2 * one_voxel((5, 7), 3, 4)
    assert nsd(prediction, reference, [2.0, 3.0]) == [0.5, 1.0]
    assert nsd(prediction, reference, [3.0, 1.0]) == [1.0, 0.0]


def test_background_has_a_value_and_a_tolerance_where_asked():
    prediction, reference = one_voxel((5, 7), 2, 1), one_voxel((5, 7), 2, 4)
    found = nsd(prediction, reference, [1.0, 2.0], include_background=True)
    assert found[1] == 0.5
    assert 0.5 < found[0] < 1  # the rim of the image agrees, the holes do not
    channels = [torch.cat([1 - mask, mask]) for mask in (prediction, reference)]
    assert nsd(*channels, [1.0, 2.0], include_background=True) == found


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)], ids=str)
def test_all_forms_of_masks_give_the_same_bits(definition, shape):
    maps, metric = random_maps(shape), SurfaceDice(TOLERANCES, definition=definition)
    expected = metric(*maps)
    assert expected.dtype == torch.float64
    assert expected.shape == (3, 3)
    channels = [one_hot(labels, CLASSES) for labels in maps]
    # A background channel that overlaps the others is not scored, but makes a map of each channel.
    crossed = [torch.cat([torch.ones_like(masks[:, :1]), masks[:, 1:]], dim=1) for masks in channels]
    # Here too, and the channels that are scored overlap.
    doubled = [torch.cat([masks, masks[:, 1:]], dim=1) for masks in channels]
    assert same(metric(*channels), expected)
    assert same(metric(*(masks.bool() for masks in channels)), expected)
    assert same(metric(*crossed), expected)
    assert same(SurfaceDice(TOLERANCES * 2, definition=definition)(*doubled), torch.cat([expected] * 2, dim=1))
    for masks in (maps, channels, crossed):
        assert same(metric(*map(list, masks)), expected)
        assert same(metric(*(list_data_collate(list(side)) for side in masks)), expected)
    assert same(surface_dice(*maps, TOLERANCES, num_classes=CLASSES, definition=definition), expected)
    with_background = SurfaceDice([1.0, *TOLERANCES], include_background=True, definition=definition)
    assert same(with_background(*maps)[:, 1:], expected)
    assert same(with_background(*channels), with_background(*maps))


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_overlapping_channels_are_masks_of_their_own(definition):
    draw = torch.Generator().manual_seed(5)
    masks = [torch.rand(2, 4, 8, 9, generator=draw) < 0.6 for _ in range(2)]
    found = SurfaceDice(TOLERANCES, definition=definition)(*masks)
    for index, tolerance in enumerate(TOLERANCES, 1):
        alone = SurfaceDice([tolerance], definition=definition)(*(side[:, [index]] for side in masks))
        assert same(found[:, [index - 1]], alone)


def test_list_of_differing_sizes():
    pairs = [random_maps(shape, batch=1) for shape in ((5, 7), (9, 8), (5, 7))]
    predictions, references = ([pair[side][0] for pair in pairs] for side in range(2))
    found = SurfaceDice(TOLERANCES)(predictions, references, spacing=[[1.0, 2.0], [0.5, 0.5], [2.0, 1.0]])
    for row, pair, spacing in zip(found, pairs, ([1.0, 2.0], 0.5, [2.0, 1.0]), strict=True):
        assert same(row[None], SurfaceDice(TOLERANCES)(*pair, spacing=spacing))


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_each_case_of_a_batch_has_its_spacing(definition):
    spacings = [(1.0, 1.0), (0.5, 3.0), (1.0, 1.0), (2.0, 0.25)]
    prediction, reference = random_maps(batch=4)
    metric = SurfaceDice(TOLERANCES, definition=definition)
    alone = [metric(prediction[[i]], reference[[i]], spacing=size) for i, size in enumerate(spacings)]
    expected = torch.cat(alone)
    assert not same(expected, metric(prediction, reference))
    for spacing in (spacings, [list(size) for size in spacings], np.array(spacings), torch.tensor(spacings)):
        assert same(metric(prediction, reference, spacing=spacing), expected)
    collated = list_data_collate([spaced(labels, *size) for labels, size in zip(reference, spacings, strict=True)])
    assert same(metric(prediction, collated), expected)
    listed = [spaced(labels, *size) for labels, size in zip(reference, spacings, strict=True)]
    assert same(metric(list(prediction), listed), expected)
    # What is said goes before what the affine says, and the affine of the prediction does not count.
    assert same(metric(prediction, collated, spacing=1.0), metric(prediction, reference))
    assert same(metric(collated, reference), metric(collated.as_tensor(), reference))
    # Channels that overlap are maps of their own: each has the spacing of its case.
    channels = [one_hot(labels, CLASSES) for labels in (prediction, reference)]
    crossed = [torch.cat([torch.ones_like(masks[:, :1]), masks[:, 1:]], dim=1) for masks in channels]
    assert same(metric(*crossed, spacing=spacings), expected)


def test_collated_batch_keeps_each_spacing():
    batch = [{"label": spaced(one_voxel((5, 7), 2, 4), 1.0, width)} for width in (1.0, 2.0)]
    reference = list_data_collate(batch)["label"]
    prediction = one_voxel((5, 7), 2, 1).expand(2, 1, 5, 7)
    assert SurfaceDice([3.0])(prediction, reference)[:, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "spacing", [2.0, [2.0], (2.0, 2.0), np.array([2.0, 2.0]), torch.tensor([2.0, 2.0]), 2], ids=str
)
def test_one_spacing_for_all_cases(spacing):
    prediction, reference = random_maps()
    expected = SurfaceDice([value / 2 for value in TOLERANCES])(prediction, reference)
    assert same(SurfaceDice(TOLERANCES)(prediction, reference, spacing=spacing), expected)


@pytest.mark.parametrize("thresholds", [(1.0, 2.0), np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), [1, 2]], ids=repr)
def test_tolerances_come_in_any_sequence(thresholds):
    maps = random_maps(classes=3)
    assert same(SurfaceDice(thresholds)(*maps), SurfaceDice([1.0, 2.0])(*maps))


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_distances_found_for_another_metric_give_the_same_bits(definition):
    maps = random_maps((12, 17))
    expected = SurfaceDice(TOLERANCES, definition=definition)(*(labels.clone() for labels in maps), spacing=(0.7, 1.3))
    distances = "monai_border" if definition == "monai_border" else "subvoxel"
    HausdorffDistance(CLASSES, definition=distances)(*maps, spacing=(0.7, 1.3))
    assert same(SurfaceDice(TOLERANCES, definition=definition)(*maps, spacing=(0.7, 1.3)), expected)


@pytest.mark.parametrize("value", [-1.0, -1e-300, math.nan, math.inf, -math.inf])
def test_tolerance_must_be_finite_and_not_negative(value):
    with pytest.raises(ValueError, match=r"class_thresholds is .*; give finite tolerances of 0 or more"):
        SurfaceDice([1.0, value])
    with pytest.raises(ValueError, match="give finite tolerances of 0 or more"):
        surface_dice(*random_maps(classes=3), [1.0, value])


@pytest.mark.parametrize("thresholds", [1.0, 2, []])
def test_tolerances_are_a_list(thresholds):
    with pytest.raises(ValueError, match=r"class_thresholds is .*; give a list with a tolerance for each class"):
        SurfaceDice(thresholds)


def test_tolerances_fit_the_classes():
    maps = random_maps()
    channels = [one_hot(labels, CLASSES) for labels in maps]
    for thresholds, background in (([1.0], False), ([1.0] * 4, False), ([1.0] * 3, True)):
        classes = len(thresholds) + (not background)
        with pytest.raises(MaskError, match=f"got 4 channels for {classes} classes"):
            SurfaceDice(thresholds, background)(*channels)
    with pytest.raises(MaskError, match="holds labels from 0 to 3; classes are 0 to 2"):
        SurfaceDice([1.0, 1.0])(*maps)
    with pytest.raises(ValueError, match="2 class_thresholds do not fit 4 classes"):
        surface_dice(*maps, [1.0, 1.0], num_classes=4)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="definition is 'voxel'; choose one of subvoxel, monai_subvoxel, monai_border"):
        SurfaceDice([1.0], definition="voxel")
    for name in ("chessboard", "taxicab", "manhattan"):
        with pytest.raises(ValueError, match=f"distance_metric is '{name}'; SurfaceDice measures 'euclidean'"):
            SurfaceDice([1.0], distance_metric=name)
    with pytest.raises(ValueError, match="median"):
        SurfaceDice([1.0], reduction="median")
    with pytest.raises(TypeError, match="SurfaceDice takes no tolerance; only spacing"):
        SurfaceDice([1.0])(*random_maps(classes=2), tolerance=2.0)


@pytest.mark.parametrize(
    "spacing",
    [0, 0.0, -1.0, math.nan, math.inf, [1.0, 0.0], [1.0, -2.0], [1.0, math.nan], [1.0, 1.0, 1.0], [], [[1.0, 0.0]] * 3],
    ids=str,
)
def test_spacing_must_be_finite_and_positive_for_each_axis(spacing):
    with pytest.raises(MaskError, match="give 2 sizes of a voxel in mm, finite and greater than 0"):
        SurfaceDice([1.0])(*random_maps(classes=2), spacing=spacing)


def test_spacing_for_too_few_cases():
    with pytest.raises(MaskError, match="spacing is given for 2 cases of 3"):
        SurfaceDice([1.0])(*random_maps(classes=2), spacing=[[1.0, 1.0]] * 2)


def test_masks_that_do_not_fit():
    prediction, reference = random_maps(classes=2)
    metric = SurfaceDice([1.0])
    with pytest.raises(MaskError, match=r"prediction \(3, 1, 9, 10\) and reference \(3, 1, 9, 11\) differ in shape"):
        metric(prediction[..., :-1], reference)
    with pytest.raises(MaskError, match=r"prediction \(3, 2, 9, 11\) and reference \(3, 1, 9, 11\) differ in shape"):
        metric(one_hot(prediction, 2), reference)
    with pytest.raises(MaskError, match="2 predictions and 3 references"):
        metric(list(prediction)[:2], list(reference))
    with pytest.raises(MaskError, match="give a reference for each prediction"):
        metric(prediction)
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()


MONAI_CALLS = {
    "all positional": ((TOLERANCES, False, "euclidean", "mean_batch", True, True), {}),
    "background": (([1.0, *TOLERANCES], True), {"use_subvoxels": False}),
    "keywords": (
        (),
        {"class_thresholds": TOLERANCES, "include_background": False, "distance_metric": "euclidean",
         "reduction": "mean_channel", "get_not_nans": True, "use_subvoxels": False},
    ),
    "reduction none": ((TOLERANCES,), {"reduction": "none", "get_not_nans": True, "use_subvoxels": True}),
    "mean": ((TOLERANCES,), {"use_subvoxels": True}),
    "sum": ((TOLERANCES,), {"reduction": "sum", "get_not_nans": True, "use_subvoxels": False}),
    "sum_batch": ((TOLERANCES,), {"reduction": "sum_batch", "get_not_nans": True, "use_subvoxels": True}),
    "sum_channel": ((TOLERANCES,), {"reduction": "sum_channel", "get_not_nans": True, "use_subvoxels": True}),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "options"), list(MONAI_CALLS.values()), ids=list(MONAI_CALLS))
@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)], ids=str)
def test_takes_the_place_of_the_metric_in_monai(arguments, options, shape):
    ours, theirs = SurfaceDice(*arguments, **options), SurfaceDiceMetric(*arguments, **options)
    masks = [one_hot(labels, CLASSES) for labels in random_maps(shape)]
    if ours.reduction == "none":
        masks[0][1, 1] = masks[1][1, 1] = masks[0][2, 2] = 0  # other reductions differ on purpose, see reduce_cases
    for spacing in (None, [0.5, 1.5, 2.0][: len(shape)]):
        for metric in (ours, theirs):
            metric.reset()
        for cases in (slice(0, 2), slice(2, 3)):
            batch = [side[cases] for side in masks]
            found, expected = ours(*batch, spacing=spacing), theirs(*batch, spacing=spacing)
            np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7)
        np.testing.assert_allclose(ours.get_buffer(), theirs.get_buffer(), rtol=0, atol=3e-7)
        for reduction in (None, "none") if ours.reduction == "none" else (None, "mean_batch", "sum_channel"):
            found, expected = (metric.aggregate(reduction) for metric in (ours, theirs))
            assert isinstance(found, tuple) == isinstance(expected, tuple)
            pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
            for one, other in pairs:
                np.testing.assert_allclose(one.flatten(), other.flatten(), rtol=3e-7, atol=3e-7)
    ours.reset()
    assert ours.get_buffer() is None
    with pytest.raises(ValueError, match="nothing to aggregate"):
        ours.aggregate()


def test_decollated_batch_as_monai_takes_it():
    masks = [list(one_hot(labels, CLASSES)) for labels in random_maps()]
    ours, theirs = (kind(TOLERANCES, use_subvoxels=True) for kind in (SurfaceDice, SurfaceDiceMetric))
    np.testing.assert_allclose(ours(*masks), torch.stack(list(theirs(*masks))), rtol=0, atol=3e-7)
    assert ours.aggregate().item() == pytest.approx(theirs.aggregate().item(), abs=3e-7)


def test_single_masks_as_monai_takes_them():
    masks = [(labels == 1).float() for labels in random_maps()]
    ours, theirs = (kind([1.5], use_subvoxels=False) for kind in (SurfaceDice, SurfaceDiceMetric))
    for spacing in (None, 0.7, [0.5, 1.5], [[0.5, 1.5], [1.0, 1.0], [3.0, 0.2]]):
        np.testing.assert_allclose(ours(*masks, spacing=spacing), theirs(*masks, spacing=spacing), rtol=0, atol=3e-7)


def test_use_subvoxels_is_a_name_for_a_definition():
    maps = random_maps()
    for flag, definition in ((True, "monai_subvoxel"), (False, "monai_border")):
        expected = SurfaceDice(TOLERANCES, definition=definition)(*maps)
        assert same(SurfaceDice(TOLERANCES, use_subvoxels=flag)(*maps), expected)
        assert same(SurfaceDice(TOLERANCES, use_subvoxels=flag, definition="subvoxel")(*maps), expected)
