"""The way back up of a U-Net: transposed convolution, join the skip, two convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.networks.layers import get_norm_layer
from torch import nn

Norm = str | tuple[str, Mapping]


class UpLevel(nn.Module):
    """Double the size, join what the encoder saw at that size, and convolve twice.

    Without a skip, a 1x1 convolution takes its place: it aligns the features to the channels that the double
    convolution gets on the other levels, twice its own.

    Args:
        in_channels: of the coarser features.
        skip_channels: of the encoder's features, 0 where there are none.
        width: channels of the result.
        norm: see `decoder_norm`.

    Shape:
        coarse ``(B, in_channels, H, W)``, skip ``(B, skip_channels, 2H, 2W)``. Gives ``(B, width, 2H, 2W)``.
    """

    def __init__(self, in_channels: int, skip_channels: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, width, kernel_size=2, stride=2)
        self.align = nn.Identity() if skip_channels else nn.Conv2d(width, 2 * width, kernel_size=1)
        self.convolutions = nn.Sequential(
            nn.Conv2d(width + (skip_channels or width), width, kernel_size=3, padding=1, bias=False),
            decoder_norm(norm, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            decoder_norm(norm, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, coarse: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        fine = self.up(coarse)
        return self.convolutions(self.align(fine) if skip is None else torch.cat([fine, skip], dim=1))


class UNetDecoder(nn.Module):
    """From the features of an encoder at strides 2, 4, ... back to the size of the image.

    Args:
        encoder_channels: of the features, finest first.
        widths: channels of the levels, coarsest first, as many as there are features.
        norm: see `decoder_norm`.

    Shape:
        features as the encoder gives them, finest first, each half the size of the one before. Gives the features of
        all levels, finest first, the first one at twice the size of the encoder's first.
    """

    def __init__(self, encoder_channels: Sequence[int], widths: Sequence[int], norm: Norm) -> None:
        super().__init__()
        if len(widths) != len(encoder_channels) or min(widths) < 1:
            raise ValueError(
                f"decoder_channels is {tuple(widths)}; give {len(encoder_channels)} positive numbers, coarsest first"
            )
        *skips, bottom = encoder_channels
        self.levels = nn.ModuleList(
            UpLevel(in_channels, skip_channels, width, norm)
            for in_channels, skip_channels, width in zip(
                [bottom, *widths[:-1]], [*reversed(skips), 0], widths, strict=True
            )
        )

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        *skips, coarse = features
        levels: list[torch.Tensor] = []
        for level, skip in zip(self.levels, [*reversed(skips), None], strict=True):
            coarse = level(coarse, skip)
            levels.append(coarse)
        return levels[::-1]


def decoder_norm(norm: Norm, channels: int) -> nn.Module:
    """A 2D normalisation layer of MONAI by name.

    Args:
        norm: ``"batch"``; ``"instance"`` (with trained scale and shift) or ``"group"`` (8 groups), which do not depend
            on the size of the batch; or MONAI's pair of a name and its options.
        channels: to be normalised.
    """
    options: dict[str, dict] = {
        "batch": {},
        "instance": {"affine": True},
        "group": {"num_groups": math.gcd(channels, 8)},
    }
    if isinstance(norm, str):
        if norm not in options:
            raise ValueError(f"norm is {norm!r}; give {', '.join(options)}, or MONAI's pair of a name and its options")
        norm = (norm, options[norm])
    return get_norm_layer(norm, spatial_dims=2, channels=channels)
