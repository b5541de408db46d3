"""Cached samples whose augmentation is a function of seed, epoch and index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.data import CacheDataset
from monai.transforms import Compose, Randomizable

from monai_seg.data.counter_seed import counter_seed, seeded_generators


class CounterCacheDataset(CacheDataset):
    """MONAI's `CacheDataset` that takes ``(epoch, index)`` from an `EpochSampler` and augments accordingly.

    The same pair gives the same sample in any process, at any number of workers and after any number of kills.
    A plain index works too and counts as epoch 0. A third number counts the draws of the sample in one epoch.

    Args:
        data: records of a datalist.
        transform: deterministic transforms first (they are cached), random ones after.
        seed: seed of the run.
        cache_rate: share of the samples to keep in memory.
        num_workers: threads that fill the cache.
        progress: show a bar while the cache is filled.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Compose | Sequence[Callable],
        seed: int = 0,
        cache_rate: float = 1.0,
        num_workers: int | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__(data, transform, cache_rate=cache_rate, num_workers=num_workers, progress=progress)
        self.seed = seed

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, tuple):
            key = (0, key)
        epoch, index, *draw = key
        seed = counter_seed(self.seed, epoch, index, *draw)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed)
        with seeded_generators(seed):
            return super().__getitem__(index)
