"""Augmented samples as a function of seed, epoch and index, whatever else draws random numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader
from monai.transforms import Compose, Lambdad, RandGaussianNoised, RandomizableTransform, ToTensord

from monai_seg.data.cached_dataset import CounterCacheDataset
from monai_seg.data.epoch_sampler import EpochSampler

SIZE = 5
quick = settings(deadline=None, max_examples=25, derandomize=True)


def reseed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class DrawsFromGlobalGenerators(RandomizableTransform):
    """As users write them: random numbers from wherever."""

    def __call__(self, data):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        return data | {"image": data["image"] + noise}


def dataset(seed: int = 0, **options) -> CounterCacheDataset:
    transforms = [
        ToTensord("image", track_meta=False),
        Lambdad("image", lambda image: image * 2),
        RandGaussianNoised("image", prob=1.0, std=1.0),
        DrawsFromGlobalGenerators(),
    ]
    records = [{"image": np.full((1, 2, 2), index, np.float32)} for index in range(SIZE)]
    return CounterCacheDataset(records, Compose(transforms), seed=seed, num_workers=1, **options)


REFERENCE = {(epoch, index): dataset()[epoch, index]["image"] for epoch in (1, 2) for index in range(SIZE)}


@quick
@given(
    st.lists(st.sampled_from(sorted(REFERENCE)), max_size=12), st.integers(0, 2**31), st.sampled_from([0.0, 0.4, 1.0])
)
def test_a_sample_depends_on_its_epoch_and_index_alone(accesses, elsewhere, cache_rate):
    samples = dataset(cache_rate=cache_rate)
    for key in accesses:
        reseed(elsewhere)
        assert torch.equal(samples[key]["image"], REFERENCE[key])


def test_samples_differ_between_epochs_indices_and_seeds():
    plain = [image - 2 * index for (_, index), image in REFERENCE.items()]
    plain += [dataset(seed=1)[1, index]["image"] - 2 * index for index in range(SIZE)]
    assert len({round(noise.sum().item(), 5) for noise in plain}) == 3 * SIZE


def test_global_generators_are_left_alone():
    samples = dataset()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    samples[1, 2]
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_plain_index_counts_as_epoch_zero():
    samples = dataset()
    assert torch.equal(samples[3]["image"], samples[0, 3]["image"])
    assert not torch.equal(samples[3]["image"], samples[1, 3]["image"])
    with pytest.raises(IndexError):
        samples[1, SIZE]


def test_deterministic_transforms_are_cached_and_the_cache_is_not_changed():
    calls = []
    transform = Compose(
        [Lambdad("image", lambda image: calls.append(1) or image), RandGaussianNoised("image", prob=1.0)]
    )
    records = [{"image": np.zeros((1, 2, 2), np.float32)} for _ in range(SIZE)]
    samples = CounterCacheDataset(records, transform, num_workers=1)
    assert len(calls) == SIZE
    first = samples[1, 0]["image"]
    assert torch.equal(torch.as_tensor(samples[1, 0]["image"]), torch.as_tensor(first))
    assert len(calls) == SIZE


def test_workers_do_not_change_an_epoch():
    def epoch_with(workers: int) -> list[torch.Tensor]:
        samples = dataset()
        sampler = EpochSampler(SIZE, seed=6)
        sampler.set_position(2)
        loader = DataLoader(samples, batch_size=2, sampler=sampler, num_workers=workers)
        return [batch["image"] for batch in loader]

    torch.testing.assert_close(epoch_with(2), epoch_with(0), rtol=0, atol=0)
