"""Which samples a process sees, and in which order."""

from __future__ import annotations

from collections.abc import Sized

from monai.data import DistributedSampler
from torch.utils.data import Dataset

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines.distribution import rank, world_size


def training_sampler(dataset: Sized, seed: int = 0) -> EpochSampler:
    """Each epoch's order as a function of seed and epoch, shared out among the processes."""
    return EpochSampler(len(dataset), seed=seed, rank=rank(), world_size=world_size())


def evaluation_sampler(dataset: Dataset) -> DistributedSampler:
    """Each case once, on one of the processes, in the order of the dataset."""
    return DistributedSampler(dataset, num_replicas=world_size(), rank=rank(), even_divisible=False, shuffle=False)
