"""Stock transforms on images with objects: exactly what they do to the instance map, and nothing that disagrees."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instance_samples import check_agreement, sample_of
from monai.transforms import (
    Compose,
    CropForegroundd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGridDistortiond,
    RandRotate90d,
    RandRotated,
    RandSpatialCropd,
    RandZoomd,
    Resized,
    Spacingd,
    SpatialPadd,
)

from monai_seg.transforms import InstanceAwared, RandDihedrald

BOTH = ["image", "mask"]
NEAREST = ["bilinear", "nearest"]


def flip(keys, dims=2):
    return RandFlipd(keys, prob=1, spatial_axis=1)


def rotate(keys, dims=2):
    return RandRotated(keys, 0.5, 0.5, 0.5, prob=1, mode=NEAREST)


def zoom(keys, dims=2):
    return RandZoomd(keys, 1, 0.6, 1.5, mode=NEAREST, padding_mode="constant")


def affine(keys, dims=2):
    return RandAffined(
        keys,
        prob=1,
        rotate_range=0.4,
        shear_range=0.2,
        translate_range=5,
        scale_range=0.3,
        mode=NEAREST,
        padding_mode="zeros",
    )


def crop(keys, dims=2):
    return RandSpatialCropd(keys, 22, random_size=False)


def resize(keys, dims=2):
    return Resized(keys, (33, 29, 18)[:dims], mode=["area", "nearest"])


def turn(keys, dims=2):
    return RandRotate90d(keys, 1, spatial_axes=(0, 1))


def pad(keys, dims=2):
    return SpatialPadd(keys, (70, 60, 30)[:dims])


def distort(keys, dims=2):
    return RandGridDistortiond(keys, prob=1, mode=NEAREST, padding_mode="zeros")


def symmetric(keys, dims=2):
    return RandDihedrald(keys)


def spacing(keys, dims=2):
    return Spacingd(keys, (0.8, 1.3, 2.0)[:dims], mode=NEAREST, padding_mode="zeros")


def several(keys, dims=2):
    return Compose([flip(keys), affine(keys), turn(keys), crop(keys)])


EACH = [flip, rotate, zoom, affine, crop, resize, turn, pad, distort, symmetric, spacing, several]


@pytest.fixture(params=[(40, 56), (24, 30, 17)], ids=["2D", "3D"])
def size(request):
    return request.param


@pytest.mark.parametrize("make", EACH, ids=lambda make: make.__name__)
def test_masks_go_where_the_instance_map_goes(make, size):
    sample = sample_of(12, size, seed=3)
    ours = InstanceAwared(make(BOTH, len(size)))
    stock = make(["image", "map"], len(size))
    for each in (ours, stock):
        getattr(each, "set_random_state", lambda seed: None)(seed=11)
    got, expected = ours(copy.deepcopy(sample)), stock(copy.deepcopy(sample))
    check_agreement(got)
    assert torch.equal(got["image"].as_tensor(), expected["image"].as_tensor())
    numbers = expected["map"].unique().long().tolist()
    assert got["label"].tolist() == [number for number in numbers if number]
    for number, mask in zip(got["label"], got["mask"], strict=True):
        assert torch.equal(mask.as_tensor(), (expected["map"][0] == number).to(torch.uint8).as_tensor())
    assert len(got["label"]) > 1  # else nothing was compared


@pytest.mark.parametrize("make", EACH, ids=lambda make: make.__name__)
def test_no_object_at_all(make, size):
    sample = sample_of(0, size)
    got = InstanceAwared(make(BOTH, len(size)), min_visible=0.5)(sample)
    check_agreement(got)
    assert len(got["mask"]) == 0


CHAIN = st.lists(st.sampled_from([flip, rotate, zoom, affine, crop, turn, distort, symmetric]), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    CHAIN,
    st.integers(0, 4),
    st.sampled_from([(24, 24), (23, 40), (21, 20, 22)]),
    st.integers(0, 2**31),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_after_any_chain_all_parts_agree(makers, count, size, seed, one_by_one, min_visible):
    chain = [make(BOTH) for make in makers]
    if one_by_one:
        steps = Compose([InstanceAwared(each, min_visible=min_visible) for each in chain])
    else:
        steps = Compose([InstanceAwared(Compose(chain), min_visible=min_visible)])
    steps.set_random_state(seed=seed)
    got = steps(sample_of(count, size, seed))
    check_agreement(got)
    assert set(got["label"].tolist()) <= set(range(1, count + 1))


def test_soft_masks_are_cut_at_one_half_and_do_not_move():
    draw = np.random.default_rng(0)
    shifts = []
    for _ in range(40):
        mask = torch.zeros(1, 512, 4, dtype=torch.uint8)
        first, length = draw.integers(0, 250), draw.integers(20, 200)
        mask[0, first : first + length] = 1
        sample = {"image": torch.zeros(1, 512, 4), "mask": mask}
        box = InstanceAwared(Resized(BOTH, (192, 4), mode="bilinear"))(sample)["box"][0]
        shifts.append(float(box[0] + box[2]) / 2 * 512 / 192 - (first + length / 2))
    assert abs(np.mean(shifts)) < 0.3  # with nearest neighbours 1.2


def test_objects_cut_to_less_than_a_share_are_dropped_but_shrinking_cuts_nothing():
    mask = torch.zeros(2, 20, 20, dtype=torch.uint8)
    mask[0, 4:10, 0:10] = 1  # 6 of 10 columns are left of it
    mask[1, 12:16, 2:10] = 1  # 6 of 8
    sample = sample_of(0, (20, 20)) | {"label": torch.tensor([7, 8]), "crowd": torch.tensor([False, True])}
    sample["mask"] = sample["mask"].new_zeros((2, 20, 20)).copy_(mask)
    half = CropForegroundd(BOTH, source_key="half", allow_smaller=True)
    sample["half"] = torch.zeros(1, 20, 20)
    sample["half"][..., 4:] = 1
    for share, expected in ((0.0, [7, 8]), (0.7, [8]), (0.8, [])):
        got = InstanceAwared(half, min_visible=share)(sample)
        check_agreement(got)
        assert got["label"].tolist() == expected
    smaller = InstanceAwared(Resized(BOTH, (10, 10), mode=["area", "nearest"]), min_visible=0.9)(sample)
    assert smaller["label"].tolist() == [7, 8]
    assert InstanceAwared(Resized(BOTH, (10, 10), mode="nearest"), min_size=13)(sample)["label"].tolist() == [7]


def test_intensities_leave_the_objects_alone():
    sample = sample_of(3)
    got = Compose([RandGaussianNoised("image", prob=1), InstanceAwared(flip(BOTH)), InstanceAwared(flip(BOTH))])(sample)
    assert not torch.equal(got["image"], sample["image"])
    assert torch.equal(got["mask"], sample["mask"])
    assert torch.equal(got["box"], sample["box"])


def test_a_transform_of_the_image_alone_is_refused():
    with pytest.raises(ValueError, match=r"the image has come out as \(16, 16\), its masks as \(40, 56\)"):
        InstanceAwared(Resized("image", (16, 16)))(sample_of(2))
    with pytest.raises(ValueError, match=r"min_visible 1\.5"):
        InstanceAwared(flip(BOTH), min_visible=1.5)
