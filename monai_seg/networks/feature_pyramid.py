"""Backbones of the detectors: a ResNet with a feature pyramid, of torchvision or small enough to train from scratch."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import torch
from monai.networks.blocks import feature_pyramid_network as nd_pyramid
from monai.networks.nets.resnet import ResNet, ResNetBlock
from torch import nn
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from monai_seg.networks.encoder import NEUTRAL_MEAN, NEUTRAL_STD, ResNetEncoder

DetectorNorm = Literal["batch", "frozen_batch", "group"]
SMALL = "small"
_SMALL_WIDTHS = (32, 64, 128, 256)
_GROUPS = 8


class SmallResNet(ResNet):
    """MONAI's ResNet of 2 blocks per stage and 32 to 128 channels, as an encoder that gives its features.

    With random weights and few images it learns more in an hour of a CPU than a ResNet-18 does: it has 0.7 million
    parameters, and its group norm does not look at the other images of a small batch.

    Args:
        in_channels: of the image.
        spatial_dims: 2 or 3.
        stem_stride: of the first convolution; 1 for objects of few pixels.
        norm: ``"group"``, or ``"batch"`` for batches of eight and more.

    Shape:
        image ``(B, in_channels, H, W[, D])``. Gives three features, at strides 4, 8 and 16, or half of them.
    """

    def __init__(
        self, in_channels: int, spatial_dims: int = 2, stem_stride: int = 2, norm: DetectorNorm = "group"
    ) -> None:
        super().__init__(
            ResNetBlock,
            [2, 2, 2, 2],
            list(_SMALL_WIDTHS),
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=stem_stride,
            feed_forward=False,
        )
        del self.layer4  # of stride 32; the pyramid makes that level by pooling
        _exchange_batch_norm(self, norm, _GROUPS)  # MONAI takes the norm that it is given for the stem alone
        self.channels = _SMALL_WIDTHS[:3]
        self.mean, self.std = (NEUTRAL_MEAN,) * in_channels, (NEUTRAL_STD,) * in_channels

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        features = self.maxpool(self.act(self.bn1(self.conv1(image))))
        levels = []
        for layer in (self.layer1, self.layer2, self.layer3):
            features = layer(features)
            levels.append(features)
        return levels


class FeaturePyramid(nn.Module):
    """A ResNet (``body``) and a feature pyramid on it (``fpn``), with the parameter names of torchvision's detectors.

    Args:
        backbone: ``"small"`` (see `SmallResNet`), or ``"resnet18"`` to ``"resnet152"`` of torchvision.
        in_channels: of the image.
        out_channels: of each level.
        pretrained: weights of a torchvision ResNet, by name or file, see `load_pretrained`; None: random ones.
        norm: ``"batch"``; ``"frozen_batch"``, whose statistics stay those of the pretrained weights of a torchvision
            ResNet, as small batches need; or ``"group"``, for training from scratch.
        frozen_stages: of a torchvision ResNet, see `ResNetEncoder`.
        pyramid_norm: batch norm in the pyramid, as the second version of torchvision's detectors has it.
        spatial_dims: 2, or 3 with the small backbone.
        stem_stride: see `SmallResNet`.

    Attributes:
        strides: of the levels.

    Shape:
        image ``(B, in_channels, H, W[, D])``. Gives levels by name: ``"0"``, ``"1"`` ... at strides 4, 8, 16 (and 32),
        each ``(B, out_channels, ...)``, and ``"pool"`` at twice the last one.

    Raises:
        ValueError: there is no such backbone or norm, or pretrained weights are asked for where they make no sense.

    Source:
        arXiv:1612.03144.
    """

    def __init__(
        self,
        backbone: str = SMALL,
        in_channels: int = 1,
        out_channels: int = 64,
        pretrained: str | Path | None = None,
        norm: DetectorNorm = "group",
        frozen_stages: int = 0,
        pyramid_norm: bool = False,
        spatial_dims: int = 2,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        _refuse_impossible(backbone, pretrained, norm, frozen_stages, spatial_dims, stem_stride)
        self.body: nn.Module
        if backbone == SMALL:
            self.body = SmallResNet(in_channels, spatial_dims, stem_stride, norm)
            widths, self._skipped = list(self.body.channels), 0
        else:
            self.body = ResNetEncoder(backbone, in_channels, pretrained, frozen_stages)
            widths, self._skipped = list(self.body.channels[1:]), 1  # stride 2 is left out
            _exchange_batch_norm(self.body, norm)
        self.mean, self.std = self.body.mean, self.body.std
        self.out_channels = out_channels
        self.fpn: nn.Module
        if spatial_dims == 2:
            norm_layer = nn.BatchNorm2d if pyramid_norm else None
            self.fpn = FeaturePyramidNetwork(widths, out_channels, LastLevelMaxPool(), norm_layer)
        else:
            self.fpn = nd_pyramid.FeaturePyramidNetwork(
                spatial_dims, widths, out_channels, nd_pyramid.LastLevelMaxPool(spatial_dims)
            )
        self.level_count = len(widths) + 1
        self.strides = tuple(2 * stem_stride * 2**level for level in range(self.level_count))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        levels = self.body(image)[self._skipped :]
        return self.fpn(OrderedDict((str(number), level) for number, level in enumerate(levels)))


def _refuse_impossible(
    backbone: str, pretrained: str | Path | None, norm: str, frozen_stages: int, spatial_dims: int, stem_stride: int
) -> None:
    if spatial_dims not in (2, 3) or stem_stride not in (1, 2):
        raise ValueError(f"spatial_dims is {spatial_dims}, stem_stride {stem_stride}; give 2 or 3, and 1 or 2")
    if backbone != SMALL and (spatial_dims, stem_stride) != (2, 2):
        raise ValueError(f"{backbone} takes pictures and has a stem of stride 2; give backbone: small")
    if norm not in ("batch", "frozen_batch", "group"):
        raise ValueError(f"norm is {norm!r}; give batch, frozen_batch or group")
    if backbone == SMALL and (pretrained or frozen_stages or norm == "frozen_batch"):
        raise ValueError(
            "the small backbone has no pretrained weights: nothing of it can be frozen or loaded\n"
            "  mend   leave out pretrained and frozen_stages, give norm: group or batch, or take a ResNet of"
            " torchvision, as backbone: resnet50"
        )
    if norm == "group" and pretrained:
        raise ValueError(
            "pretrained weights belong to batch norm, norm is 'group'\n"
            "  mend   norm: frozen_batch, which suits the small batches of detection"
        )


def _exchange_batch_norm(module: nn.Module, norm: DetectorNorm, groups: int = 32) -> None:
    """Replace each batch norm by another norm of the same channels."""
    for name, child in module.named_children():
        if not isinstance(child, (nn.BatchNorm2d, nn.BatchNorm3d)):
            _exchange_batch_norm(child, norm, groups)
        elif norm == "frozen_batch":
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        elif norm == "group":
            setattr(module, name, nn.GroupNorm(math.gcd(child.num_features, groups), child.num_features))
