"""A convolutional network of six layers for small images, that begins from random weights."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

_POOLINGS = 4
_SMALLEST = 2**_POOLINGS


class CompactCNN(nn.Module):
    """Six 3x3 convolutions with batch norm and ReLU in four blocks, then two fully connected layers.

    The blocks: 32-32-pool, 64-64-pool-dropout 0.3, 128-pool, 128-pool; then 512 features with batch norm, ReLU and
    dropout 0.5, and the classes. At 224 pixels it has 13.1 million parameters, nearly all of them behind the blocks.

    Args:
        in_channels: of the image.
        num_classes: all of them, exclusive.
        image_size: side of the images that it is made for, in pixels, 16 or more. Images of another size are taken
            too: their last features are averaged, or repeated, to fit.

    Shape:
        image ``(B, in_channels, H, W)``, 16 pixels or more on each side. Gives ``(B, num_classes)``.

    Raises:
        ValueError: an option is impossible, or an image is too small.

    Example:
        >>> sum(parameter.numel() for parameter in CompactCNN(1, 5, 224).parameters())
        13136485
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 5, image_size: int = 224) -> None:
        super().__init__()
        if image_size < _SMALLEST:
            raise ValueError(f"image_size is {image_size}; give {_SMALLEST} pixels or more: there are four poolings")
        self.grid = image_size // _SMALLEST
        self.blocks = nn.Sequential(
            _block(in_channels, 32, 32),
            _block(32, 64, 64, dropout=0.3),
            _block(64, 128),
            _block(128, 128),
        )
        self.hidden = nn.Sequential(
            nn.Linear(128 * self.grid**2, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True), nn.Dropout(0.5)
        )
        self.fc = nn.Linear(512, num_classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if min(image.shape[2:]) < _SMALLEST:
            size = " x ".join(map(str, image.shape[2:]))
            raise ValueError(f"an image is {size} pixels; give {_SMALLEST} or more on each side, for four poolings")
        features = self.blocks(image)
        if features.shape[2:] != (self.grid, self.grid):
            features = F.adaptive_avg_pool2d(features, self.grid)
        return self.fc(self.hidden(features.flatten(1)))


def _block(in_channels: int, *widths: int, dropout: float = 0.0) -> nn.Sequential:
    """Convolutions of these widths, then a pooling that halves the size."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (before, width) in enumerate(zip((in_channels, *widths), widths, strict=False)):
        layers[f"conv{number}"] = nn.Conv2d(before, width, 3, padding=1)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
    layers["pool"] = nn.MaxPool2d(2)
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(layers)
