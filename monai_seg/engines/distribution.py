"""One process or several: the process group under ``torchrun``, and what each rank asks of it."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    """Index of this process, 0 without ``torchrun``."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes, 1 without ``torchrun``."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start_distribution() -> None:
    """Join the process group if ``torchrun`` started this process: nccl with GPUs, gloo without. Else do nothing."""
    if world_size() == 1 or dist.is_initialized():
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    # MONAI skips `finalize` when a run raises, so the group is freed at exit.
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def device() -> torch.device:
    """The device of this process: its own GPU, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        index = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def from_first_rank(value: T) -> T:
    """What rank 0 passes, on every rank. Every rank must call it."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def from_all_ranks(value: T) -> list[T]:
    """What each rank passes, in the order of the ranks. Every rank must call it."""
    if not dist.is_initialized():
        return [value]
    values: list = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def wait_for_all_ranks() -> None:
    """Return when every rank has come here."""
    if dist.is_initialized():
        dist.barrier()
