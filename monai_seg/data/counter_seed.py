"""Randomness that is counted, not carried: a seed is a function of where one is, so there is no state to lose."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def counter_seed(*counters: int) -> int:
    """Seed in [0, 2**32) for a place in the run, such as (run seed, epoch, sample index).

    Args:
        counters: whole numbers from 0 on, whose order matters.

    Source:
        NumPy's ``SeedSequence``, which mixes its words so that neighbouring counters give unrelated seeds.
    """
    return int(np.random.SeedSequence(counters).generate_state(1)[0])


@contextmanager
def seeded_generators(seed: int) -> Iterator[None]:
    """Run a block with Python's, NumPy's and PyTorch's CPU generators at a seed, then put their states back.

    The transforms of MONAI draw from their own generator, but a few, and many written by users, draw from a
    global one: inside this block both kinds are functions of the seed alone.
    """
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
