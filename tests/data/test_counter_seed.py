"""Counted randomness: seeds in range, that differ by place, and generators that are lent and given back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_seg.data.counter_seed import counter_seed, seeded_generators


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_seed_is_a_function_of_its_counters_and_in_range(counters):
    seed = counter_seed(*counters)
    assert seed == counter_seed(*counters)
    assert 0 <= seed < 2**32


def test_neighbouring_places_and_their_order_give_different_seeds():
    places = [(seed, epoch, index) for seed in range(3) for epoch in range(12) for index in range(30)]
    assert len({counter_seed(*place) for place in places}) == len(places)


def reseed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def draw_from_all() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_inside_the_block_draws_follow_the_seed_and_outside_nothing_has_happened():
    with seeded_generators(7):
        first = draw_from_all()
    reseed(1)
    expected = draw_from_all()
    reseed(1)
    with seeded_generators(7):
        assert draw_from_all() == first
    with seeded_generators(8):
        assert all(a != b for a, b in zip(draw_from_all(), first, strict=True))
    assert draw_from_all() == expected


def test_states_are_given_back_after_an_error():
    reseed(3)
    expected = draw_from_all()
    reseed(3)
    with pytest.raises(KeyError), seeded_generators(5):
        {}[draw_from_all()]
    assert draw_from_all() == expected
