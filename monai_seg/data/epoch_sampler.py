"""The order of an epoch, as a function of seed and epoch, on one or more processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from monai_seg.data.counter_seed import counter_seed


class EpochSampler(Sampler[tuple[int, ...]]):
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

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        order = np.random.default_rng(counter_seed(self.seed, self.epoch)).permutation(self.size)
        own = np.resize(order, len(self) * self.world_size)[self.rank :: self.world_size]
        return iter([(self.epoch, int(index)) for index in own[self.start :]])

    def __len__(self) -> int:
        """Samples of one rank in one whole epoch."""
        return -(-self.size // self.world_size)


class BalancedEpochSampler(EpochSampler):
    """An `EpochSampler` whose epoch holds as many samples of each class, give or take one, and as many as before.

    The samples of a class come in a new random order each time that all of them were drawn: of a large class each epoch
    shows a part, of a small one every sample several times. A third number counts these times, so that a dataset can
    augment each of them differently.

    Args:
        classes: class of each sample.
        seed, rank, world_size: as in `EpochSampler`.

    Raises:
        ValueError: there is no sample.
    """

    def __init__(self, classes: Sequence[int], seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(classes), seed, rank, world_size)
        self.members = [np.flatnonzero(np.asarray(classes) == each) for each in sorted(set(classes))]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        rng = np.random.default_rng(counter_seed(self.seed, self.epoch))
        total = len(self) * self.world_size
        # The classes that get one more than the others change from epoch to epoch.
        turn = rng.permutation(len(self.members))
        order = rng.permutation(np.concatenate([self._drawn(rng, each, turn, total) for each in range(len(turn))]))
        seen: Counter[int] = Counter()
        keys = []
        for index in order.tolist():
            keys.append((self.epoch, index, seen[index]))
            seen[index] += 1
        return iter(keys[self.rank :: self.world_size][self.start :])

    def _drawn(self, rng: np.random.Generator, number: int, turn: np.ndarray, total: int) -> np.ndarray:
        """Samples of one class in an epoch."""
        wanted = total // len(turn) + int(turn[number] < total % len(turn))
        members = self.members[number]
        rounds = [rng.permutation(members) for _ in range(-(-wanted // len(members)))]
        return np.concatenate([*rounds, members[:0]])[:wanted]
