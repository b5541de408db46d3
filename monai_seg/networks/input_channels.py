"""Pretrained weights for another number of image channels than they were trained with."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def adapt_stem(weight: torch.Tensor, in_channels: int) -> torch.Tensor:
    """Fit the first convolution to a number of channels, keeping its response to images whose channels are equal.

    Fewer channels than before share the sum of the old ones equally. More channels take the old ones in turn (the
    fourth is a second red), and each old one is shared among all that took it. Either way the weights over all
    channels sum to what they summed to, at every place of the kernel.

    Args:
        weight: of the convolution, ``(out_channels, channels, height, width)``.
        in_channels: wanted.

    Example:
        >>> weight = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
        >>> [adapt_stem(weight, n).flatten().tolist() for n in (1, 3, 4)]
        [[7.0], [1.0, 2.0, 4.0], [0.5, 2.0, 4.0, 0.5]]
    """
    given = weight.shape[1]
    if in_channels < given:
        return weight.sum(1, keepdim=True).expand(-1, in_channels, -1, -1) / in_channels
    taken = torch.arange(in_channels) % given
    return weight[:, taken] / torch.bincount(taken)[taken].view(1, -1, 1, 1).to(weight.dtype)


def adapt_statistics(values: Sequence[float], in_channels: int) -> tuple[float, ...]:
    """Fit the mean or the deviation of each channel to the channels of `adapt_stem`: averaged, or taken in turn."""
    if in_channels < len(values):
        return (sum(values) / len(values),) * in_channels
    return tuple(values[channel % len(values)] for channel in range(in_channels))
