"""Sums as whole numbers: the same whatever the order of what is summed, on any device, and exact for millions of it.

Added up one by one, floating-point numbers lose a digit for each ten times as many, and atomic additions on a GPU give
another sum in each run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Values:
    """What is summed.

    Attributes:
        owner: to which sum each value goes, ``(K,)``, int64.
        value: not negative, ``(K,)``, float64; infinity counts as 0.
        largest: no finite value is larger.
    """

    owner: torch.Tensor
    value: torch.Tensor
    largest: float


def whole_parts(values: Values) -> list[tuple[torch.Tensor, float]]:
    """Values as whole numbers of a unit and of a smaller one, ``(K,)``, int64, of which up to 2^31 can be added."""
    unit = 2.0 ** (math.frexp(values.largest)[1] - 31)
    scaled = torch.mul(values.value, 1 / unit).nan_to_num_(0.0, posinf=0.0)
    high = scaled.floor()
    return [(high.long(), unit), (scaled.sub_(high).mul_(2.0**31).round_().long(), unit * 2.0**-31)]


def whole_sums(parts: Sequence[Values], size: int, device: torch.device) -> torch.Tensor:
    """Sum of the values of each owner, of so many: ``(size,)``, float64."""
    total = torch.zeros(size, dtype=torch.float64, device=device)
    for largest in dict.fromkeys(part.largest for part in parts):
        sums = torch.zeros(2, size, dtype=torch.int64, device=device)
        units = [0.0, 0.0]
        for part in parts:
            if part.largest != largest:
                continue
            for index, (whole, unit) in enumerate(whole_parts(part)):
                sums[index].index_add_(0, part.owner, whole)
                units[index] = unit
        total += sums[0].double() * units[0] + sums[1].double() * units[1]
    return total
