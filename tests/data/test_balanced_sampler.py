"""Balanced epochs: each class as often, whatever the ranks, and each draw of a sample told apart."""

from collections import Counter

import pytest
import torch
from monai.transforms import Compose, RandScaleIntensityd

from monai_seg.data.cached_dataset import CounterCacheDataset
from monai_seg.data.epoch_sampler import BalancedEpochSampler

CLASSES = [0] * 100 + [1] * 4 + [2] * 9


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_class_as_often(ranks):
    samplers = [BalancedEpochSampler(CLASSES, seed=3, rank=rank, world_size=ranks) for rank in range(ranks)]
    drawn = [key for sampler in samplers for key in sampler]
    assert len({len(list(sampler)) for sampler in samplers}) == 1
    assert len(drawn) == len(set(drawn)) == ranks * len(samplers[0])
    counts = Counter(CLASSES[index] for _, index, _ in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_rare_samples_take_turns_and_their_draws_are_counted():
    keys = list(BalancedEpochSampler(CLASSES, seed=3))
    times = Counter(index for _, index, _ in keys if CLASSES[index] == 1)
    assert max(times.values()) - min(times.values()) <= 1
    assert {draw for _, index, draw in keys if index == 100} == set(range(times[100]))


def test_an_epoch_is_a_function_of_seed_and_epoch_and_goes_on_in_its_middle():
    one, two = BalancedEpochSampler(CLASSES, seed=3), BalancedEpochSampler(CLASSES, seed=3)
    assert list(one) == list(two)
    first = list(one)
    one.set_position(2)
    assert [key[1:] for key in one] != [key[1:] for key in first]
    two.set_position(1, start=50)
    assert list(two) == first[50:]


def test_draws_of_a_sample_are_augmented_apart():
    transform = Compose([RandScaleIntensityd("image", factors=0.5, prob=1.0)])
    dataset = CounterCacheDataset([{"image": torch.ones(1)}], transform, seed=1, num_workers=0)
    values = [dataset[key]["image"].item() for key in [(1, 0, 0), (1, 0, 1), (1, 0, 0), (1, 0)]]
    assert values[0] != values[1]
    assert values[0] == values[2] == values[3]
