"""Random transforms on images with objects: seeds, caches, and crops that hold a chosen object."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instance_samples import check_agreement, sample_of
from monai.data import CacheDataset
from monai.transforms import Compose, OneOf, RandAffined, RandFlipd, RandSpatialCropd, Resized

from monai_seg.data.cached_dataset import CounterCacheDataset
from monai_seg.transforms import InstanceAwared, MasksToBoxesd, RandCropInstancesd, RandInstanceAwared

BOTH = ["image", "mask"]


def flip(keys):
    return RandFlipd(keys, prob=1, spatial_axis=1)


def affine(keys):
    return RandAffined(keys, prob=1, rotate_range=0.4, translate_range=5, scale_range=0.3, mode=["bilinear", "nearest"])


def crop(keys):
    return RandSpatialCropd(keys, 22, random_size=False)


def test_a_seed_fixes_all_that_is_drawn():
    steps = [InstanceAwared(affine(BOTH)).set_random_state(seed=5) for _ in range(2)]
    first, second = ([step(sample_of(4))["mask"] for _ in range(3)] for step in steps)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_fixed_transforms_are_cached_and_random_ones_are_not():
    fixed, drawn = (
        InstanceAwared(Resized(BOTH, (16, 16))),
        InstanceAwared(Compose([Resized(BOTH, (16, 16)), flip(BOTH)])),
    )
    assert type(fixed) is InstanceAwared
    assert all(type(each) is RandInstanceAwared for each in (drawn, InstanceAwared(lambda sample: sample)))
    assert isinstance(InstanceAwared(OneOf([Resized(BOTH, (16, 16)), Resized(BOTH, (12, 12))])), RandInstanceAwared)
    data = CacheDataset([sample_of(2)], Compose([fixed, drawn]), progress=False, copy_cache=False)
    assert data._cache[0]["mask"].shape[1:] == (16, 16)
    for each in (pickle.loads(pickle.dumps(drawn)), copy.deepcopy(drawn)):
        assert type(each) is RandInstanceAwared
        check_agreement(each(sample_of(2)))


def test_the_counted_cache_gives_the_same_sample_for_the_same_position():
    records = [sample_of(4, seed=seed) for seed in range(2)]
    steps = Compose([MasksToBoxesd(), InstanceAwared(affine(BOTH)), InstanceAwared(crop(BOTH))])
    first, second = (CounterCacheDataset(records, copy.deepcopy(steps), seed=1) for _ in range(2))
    second[(0, 0)]  # what came before does not matter
    for position in ((3, 1), (2, 0)):
        one, other = first[position], second[position]
        check_agreement(one)
        assert torch.equal(one["mask"], other["mask"])
        assert torch.equal(one["image"], other["image"])
    assert not torch.equal(first[(3, 1)]["image"], first[(4, 1)]["image"])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 4),
    st.sampled_from([((24, 24), 12), ((23, 40), (30, 30)), ((21, 20, 12), (16, -1, 20))]),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.6, 1.0]),
)
def test_a_crop_agrees_and_is_a_piece_of_the_padded_image(count, sizes, seed, min_visible):
    size, roi_size = sizes
    sample = sample_of(count, size, seed)
    sample["image"][0] = torch.arange(1.0, 1 + sample["image"].numel()).view(size)
    sample["mask"] = sample["mask"] * 1
    crop = RandCropInstancesd(roi_size, 0.5, min_visible=min_visible).set_random_state(seed=seed)
    got = crop(sample)
    check_agreement(got)
    roi = (roi_size,) * len(size) if isinstance(roi_size, int) else roi_size
    assert got["mask"].shape[1:] == tuple(n if r < 0 else r for r, n in zip(roi, size, strict=True))
    # Each pixel that is not padding says where it comes from, and there lies what the masks say.
    place = got["image"][0].as_tensor().long()
    instances = torch.zeros(sample["map"].numel() + 1).scatter(
        0, torch.arange(1, 1 + sample["map"].numel()), sample["map"].as_tensor().flatten()
    )
    expected = instances[place]
    for number, mask in zip(got["label"], got["mask"], strict=True):
        assert torch.equal(mask.as_tensor() > 0, expected == number)
    visible = {int(number) for number in expected.unique() if number}
    dropped = visible - set(got["label"].tolist())
    for number in dropped:
        assert (expected == number).sum() < min_visible * (sample["map"] == number).sum()


def test_a_chosen_object_is_whole_and_lies_anywhere_in_the_piece():
    sample = sample_of(0, (60, 60))
    sample["mask"] = sample["mask"].new_zeros((2, 60, 60))
    sample["mask"][0, 3:9, 50:58] = 1
    sample["mask"][1, 30:50, 10:30] = 1  # a crowd is never chosen
    sample |= {"label": torch.tensor([0, 1]), "crowd": torch.tensor([False, True])}
    crop = RandCropInstancesd((16, 20), pos_prob=1.0).set_random_state(seed=0)
    tops, lefts = set(), set()
    for _ in range(200):
        got = crop(sample)
        assert got["label"].tolist() == [0]
        assert got["mask"].sum() == 6 * 8
        tops.add(int(got["box"][0, 0]))
        lefts.add(int(got["box"][0, 1]))
    assert tops == set(range(4))  # the edge of the image allows no more
    assert lefts == set(range(10, 13))


def test_a_piece_lies_within_an_object_that_is_larger():
    sample = sample_of(0, (60, 60))
    sample["mask"] = sample["mask"].new_zeros((1, 60, 60))
    sample["mask"][0, 10:50, 20:50] = 1
    sample |= {"label": torch.tensor([0]), "crowd": torch.tensor([False])}
    crop = RandCropInstancesd(12, pos_prob=1.0).set_random_state(seed=0)
    starts = []
    for _ in range(100):
        assert crop(sample)["mask"].all()
        starts.append(crop.start)
    assert (min(starts)[0], max(starts)[0]) == (10, 38)


@pytest.mark.parametrize(("pos_prob", "hits"), [(0.0, 0.02), (1.0, 1.0), (0.5, 0.5)])
def test_objects_are_chosen_as_often_as_asked_for(pos_prob, hits):
    sample = sample_of(0, (100, 100))
    sample["mask"] = sample["mask"].new_zeros((1, 100, 100))
    sample["mask"][0, 50, 50] = 1
    sample |= {"label": torch.tensor([0]), "crowd": torch.tensor([False])}
    crop = RandCropInstancesd(10, pos_prob).set_random_state(seed=1)
    found = sum(len(crop(sample)["mask"]) for _ in range(300)) / 300
    assert found == pytest.approx(hits, abs=0.08)


def test_a_cropping_pipeline_is_replayed():
    crop = Compose([RandCropInstancesd(16), InstanceAwared(flip(BOTH))])
    crop.set_random_state(seed=3)
    first = [crop(sample_of(4)) for _ in range(3)]
    other = pickle.loads(pickle.dumps(crop))
    other.set_random_state(seed=3)
    for one, again in zip(first, [other(sample_of(4)) for _ in range(3)], strict=True):
        check_agreement(one)
        assert torch.equal(one["image"], again["image"])
        assert torch.equal(one["mask"], again["mask"])
    with pytest.raises(ValueError, match="pos_prob is 2"):
        RandCropInstancesd(8, pos_prob=2)
