"""The order of an epoch, as a function of seed and epoch, on one or more processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from monai_seg.data.counter_seed import counter_seed


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffled indices that carry their epoch, so that a dataset can derive each sample's randomness.

    Each rank takes every ``world_size``-th place of one common order. The order is padded with its own beginning
    until it divides, since ranks that train on a different number of batches would wait for each other forever.

    Args:
        size: number of samples in the dataset.
        seed: seed of the run.
        rank: index of this process.
        world_size: number of processes.

    Raises:
        ValueError: the dataset is empty.
    """

    def __init__(self, size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if size < 1:
            raise ValueError("the training section is empty: there is nothing to draw samples from")
        self.size, self.seed, self.rank, self.world_size = size, seed, rank, world_size
        self.epoch, self.start = 1, 0

    def set_position(self, epoch: int, start: int = 0) -> None:
        """Set what the next iteration yields.

        Args:
            epoch: from 1 on, as Ignite counts.
            start: number of this rank's samples to leave out at the front, for a run resumed in mid-epoch.
        """
        self.epoch, self.start = epoch, start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng(counter_seed(self.seed, self.epoch)).permutation(self.size)
        own = np.resize(order, len(self) * self.world_size)[self.rank :: self.world_size]
        return iter([(self.epoch, int(index)) for index in own[self.start :]])

    def __len__(self) -> int:
        """Samples of one rank in one whole epoch."""
        return -(-self.size // self.world_size)
