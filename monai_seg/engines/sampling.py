"""Which samples a process sees, and in which order."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from monai.data import DistributedSampler

from monai_seg.data.epoch_sampler import BalancedEpochSampler, EpochSampler
from monai_seg.engines.distribution import rank, world_size


class TooFewCasesError(ValueError):
    """There is no case to evaluate, or fewer than processes, so that some would have nothing to do."""


def training_sampler(dataset: Sized, seed: int = 0) -> EpochSampler:
    """Each epoch's order as a function of seed and epoch, shared out among the processes."""
    return EpochSampler(len(dataset), seed=seed, rank=rank(), world_size=world_size())


def class_sampler(dataset: Sized, classes: Sequence[int], imbalance: str = "none", seed: int = 0) -> EpochSampler:
    """As `training_sampler`; with ``imbalance`` "sampler" all classes are drawn equally often, rare ones repeatedly.

    Args:
        dataset: to draw from.
        classes: class of each of its samples.
        imbalance: what is done about classes of unequal size, see `monai_seg.losses.ClassificationLoss`.
        seed: of the run.
    """
    if imbalance != "sampler":
        return training_sampler(dataset, seed)
    return BalancedEpochSampler(classes, seed=seed, rank=rank(), world_size=world_size())


def evaluation_sampler(dataset: Sized) -> DistributedSampler:
    """Each case once, on one of the processes, in the order of the dataset.

    Raises:
        TooFewCasesError: there is none, or a process would get none; the others would wait for its metrics forever.
    """
    if not len(dataset):
        raise TooFewCasesError(
            "the section to evaluate holds no case\n"
            "  mend   give it a share of the data, or evaluate another section or data set"
        )
    if len(dataset) < world_size():
        raise TooFewCasesError(
            f"{len(dataset)} cases to evaluate on {world_size()} processes\n"
            "  mend   start no more processes than the validation and the test section have cases each"
        )
    return DistributedSampler(dataset, num_replicas=world_size(), rank=rank(), even_divisible=False, shuffle=False)
