"""Which samples a process sees, and in which order."""

from __future__ import annotations

from collections.abc import Sized

from monai.data import DistributedSampler

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines.distribution import rank, world_size


class TooFewCasesError(ValueError):
    """There are more processes than cases to evaluate, so that some would have nothing to do."""


def training_sampler(dataset: Sized, seed: int = 0) -> EpochSampler:
    """Each epoch's order as a function of seed and epoch, shared out among the processes."""
    return EpochSampler(len(dataset), seed=seed, rank=rank(), world_size=world_size())


def evaluation_sampler(dataset: Sized) -> DistributedSampler:
    """Each case once, on one of the processes, in the order of the dataset.

    Raises:
        TooFewCasesError: a process would get no case; the others would wait for its metrics forever.
    """
    if len(dataset) < world_size():
        raise TooFewCasesError(
            f"{len(dataset)} cases to evaluate on {world_size()} processes\n"
            "  mend   start no more processes than the validation and the test section have cases each"
        )
    return DistributedSampler(dataset, num_replicas=world_size(), rank=rank(), even_divisible=False, shuffle=False)
