"""The order of an epoch: shares of the ranks, what it depends on, and where a resumed run goes on."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import evaluation_sampler, training_sampler

SIZES, RANKS, SEEDS, EPOCHS = st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 1000)


def order(size, seed=0, rank=0, world_size=1, epoch=1, start=0) -> list[tuple[int, int]]:
    sampler = EpochSampler(size, seed, rank, world_size)
    sampler.set_position(epoch, start)
    return list(sampler)


@given(SIZES, RANKS, SEEDS, EPOCHS)
def test_ranks_share_the_epoch_and_only_the_padding_is_seen_twice(size, world_size, seed, epoch):
    shares = [order(size, seed, rank, world_size, epoch) for rank in range(world_size)]
    assert {len(share) for share in shares} == {len(EpochSampler(size, seed, 0, world_size))}
    assert {item[0] for share in shares for item in share} == {epoch}
    counts = Counter(index for share in shares for _, index in share)
    assert set(counts) == set(range(size))
    padding = -size % world_size
    assert sum(counts.values()) == size + padding
    if padding < size:
        assert sum(count - 1 for count in counts.values()) == padding
        assert max(counts.values()) <= 2


@given(SIZES, RANKS, SEEDS, EPOCHS)
def test_shares_interleave_to_the_order_of_one_process(size, world_size, seed, epoch):
    shares = [order(size, seed, rank, world_size, epoch) for rank in range(world_size)]
    together = [item for items in zip(*shares, strict=True) for item in items]
    assert together[:size] == order(size, seed, epoch=epoch)


@given(SIZES, RANKS, SEEDS, EPOCHS, st.data())
def test_start_leaves_out_exactly_the_front(size, world_size, seed, epoch, data):
    rank = data.draw(st.integers(0, world_size - 1))
    whole = order(size, seed, rank, world_size, epoch)
    start = data.draw(st.integers(0, len(whole)))
    assert order(size, seed, rank, world_size, epoch, start) == whole[start:]


def test_order_is_a_function_of_seed_and_epoch_alone():
    sampler = EpochSampler(50, seed=3)
    sampler.set_position(9)
    first = list(sampler)
    sampler.set_position(2)
    list(sampler)
    sampler.set_position(9)
    assert list(sampler) == first == list(sampler)
    indices = {tuple(index for _, index in order(50, seed, epoch=epoch)) for seed in (3, 4) for epoch in (1, 2, 9)}
    assert len(indices) == 6


def test_each_place_of_the_order_is_drawn_fairly():
    firsts = Counter(order(4, seed=0, epoch=epoch)[0][1] for epoch in range(1, 401))
    assert set(firsts) == {0, 1, 2, 3}
    assert all(60 <= count <= 140 for count in firsts.values())  # five standard deviations around 100


def test_empty_section_is_refused():
    with pytest.raises(ValueError, match="the training section is empty"):
        EpochSampler(0)


def test_samplers_of_the_engines_know_the_process(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert list(training_sampler(range(5), seed=4)) == order(5, seed=4, rank=1, world_size=2)
    # Evaluation sees each case once, without padding.
    seen = list(evaluation_sampler(range(5)))
    monkeypatch.setenv("RANK", "0")
    assert sorted([*seen, *evaluation_sampler(range(5))]) == [0, 1, 2, 3, 4]
    assert seen == sorted(seen)
