"""Shadows of validation and test photographs, and of grey ones: the same from run to run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Compose

from monai_seg.transforms import FaceShadow, FaceShadowd, RandFaceShadowd


def photograph(seed: int, channels: int = 3, size: int = 48) -> torch.Tensor:
    pixels = np.random.RandomState(seed).randint(60, 250, (channels, size, size))
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def test_the_shadow_depends_on_pixels_and_seed_alone():
    cast, images = FaceShadowd("image"), [photograph(number) for number in range(4)]
    forth = [cast({"image": image}) for image in images]
    back = [FaceShadowd("image")({"image": image}) for image in reversed(images)][::-1]
    for one, two in zip(forth, back, strict=True):
        assert one["face_shadow"] == two["face_shadow"]
        assert torch.equal(one["image"], two["image"])
        assert torch.equal(one["label"], two["label"])
    assert len({sample["face_shadow"]["seed"] for sample in forth}) == len(images)
    other = FaceShadowd("image", seed=1)({"image": images[0]})
    assert other["face_shadow"] != forth[0]["face_shadow"]


def test_a_global_seed_changes_nothing():
    image = photograph(0)
    steps = Compose([FaceShadowd("image")])
    first = steps({"image": image})
    steps.set_random_state(99)
    np.random.seed(7)
    assert steps({"image": image})["face_shadow"] == first["face_shadow"]


def test_a_cache_filled_by_threads_holds_what_one_thread_gives():
    records = [{"image": photograph(number)} for number in range(12)]
    cached = CacheDataset(records, Compose([FaceShadowd("image")]), num_workers=4, progress=False)
    for record, sample in zip(records, cached, strict=True):
        assert torch.equal(sample["label"], FaceShadowd("image")(record)["label"])
    assert all("face_shadow" in sample for sample in cached._cache)


def test_the_given_share_of_photographs_gets_a_shadow():
    none = [FaceShadowd("image", prob=0.0)({"image": photograph(n)}) for n in range(4)]
    assert all(torch.equal(sample["image"], photograph(n)) for n, sample in enumerate(none))
    kinds = [FaceShadowd("image", prob=0.5)({"image": photograph(n, size=8)})["face_shadow"]["kind"] for n in range(60)]
    assert 15 <= kinds.count("none") <= 45  # 30 expected; beyond with a probability of 1e-4


@pytest.mark.parametrize("cast", [FaceShadowd("image"), RandFaceShadowd("image", prob=1.0)], ids=["fixed", "random"])
def test_what_comes_with_a_mask_stays_as_it_is(cast):
    image, mask = photograph(3), torch.ones(1, 48, 48)
    sample = cast({"image": image, "label": mask})
    assert sample["image"] is image
    assert sample["label"] is mask
    assert sample["face_shadow"]["kind"] == "none"  # so that pairs and photographs can be collated


def test_a_grey_photograph_in_three_channels_stays_grey_and_is_shaded_as_in_one():
    grey = photograph(5, channels=1)
    shadow = FaceShadow(kind="hand", seed=3, ambient_blue=0.5, ambient_red=0.1)
    one, mask = shadow(grey)
    three, same = shadow(grey.expand(3, -1, -1))
    assert (one < grey).any()
    assert torch.equal(three, one.expand(3, -1, -1))
    assert torch.equal(mask, same)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        FaceShadowd("image", seed=-1)
