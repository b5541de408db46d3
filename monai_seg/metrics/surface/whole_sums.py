"""Sums as whole numbers: the same whatever the order of what is summed, on any device, and exact for millions of it."""

from __future__ import annotations

import torch


def whole_parts(values: torch.Tensor, largest: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Values as whole numbers of a unit and of a smaller one: their sums are exact for up to 2^32 values.

    Added up one by one, floating-point numbers lose a digit for each ten times as many, and atomic additions on a GPU
    give another sum in each run.

    Args:
        values: not negative; what is not finite counts as 0.
        largest: none of the values is larger.

    Shape:
        values ``(K,)``, largest ``()``, both float64.

    Returns:
        Twice the whole numbers, ``(K,)``, int64, below 2^31, and their unit, ``()``, float64.
    """
    unit = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 31)
    scaled = (values / unit).nan_to_num_(0.0, posinf=0.0)
    high = scaled.floor()
    return [(high.long(), unit), ((scaled - high).mul_(2.0**31).round_().long(), unit * 2.0**-31)]


def whole_sums(parts: list[tuple[torch.Tensor, torch.Tensor]], size: int, device: torch.device) -> torch.Tensor:
    """Sums of values by owner.

    Args:
        parts: owner and value, not negative, of some elements: ``(K,)`` int64 and float64. Infinity counts as 0.
        size: number of owners.
        device: of the sums.

    Shape:
        Gives ``(size,)``, float64.
    """
    most = [torch.where(values.isfinite(), values, 0.0).amax() for _, values in parts if values.numel()]
    total = torch.zeros(size, dtype=torch.float64, device=device)
    if not most:
        return total
    largest = torch.stack(most).amax()
    sums, units = torch.zeros(2, size, dtype=torch.int64, device=device), [largest, largest]
    for owner, values in parts:
        for index, (whole, unit) in enumerate(whole_parts(values, largest)):
            sums[index].index_add_(0, owner, whole)
            units[index] = unit
    for each, unit in zip(sums, units, strict=True):
        total += each * unit
    return total
