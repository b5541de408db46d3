"""torchvision's ResNet as an encoder: features at five strides, any number of image channels, stages that may rest."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from monai_seg.networks.pretrained import load_pretrained

ENCODERS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

# A network that starts from random weights expects images around the middle of [0, 1]; any affine map would do.
NEUTRAL_MEAN = 0.5
NEUTRAL_STD = 0.25


class ResNetEncoder(nn.Module):
    """The stages of a torchvision ResNet, with its parameter names but without its classifier.

    Args:
        architecture: one of `ENCODERS`.
        in_channels: of the image.
        pretrained: weights to start from, see `load_pretrained`; None starts from random ones.
        frozen_stages: how many stages, from the image on, do not train and keep the statistics of their batch norm,
            in training mode too. 0 to 5: the stem, then ``layer1`` to ``layer4``.

    Shape:
        image ``(B, in_channels, H, W)``, already normalised. Gives five features, at strides 2, 4, 8, 16 and 32.

    Attributes:
        channels: of the five features.
        mean, std: what the weights expect to be subtracted and divided by, one value per channel; 0.5 and 0.25 from
            scratch.
    """

    def __init__(
        self,
        architecture: str = "resnet50",
        in_channels: int = 3,
        pretrained: str | Path | None = None,
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        if architecture not in ENCODERS:
            raise ValueError(f"encoder is {architecture!r}; give one of {', '.join(ENCODERS)}")
        if in_channels < 1:
            raise ValueError(f"in_channels is {in_channels}; an image has 1 channel or more")
        if not 0 <= frozen_stages <= 5:
            raise ValueError(f"frozen_stages is {frozen_stages}; give 0 (all train) to 5 (the whole encoder is frozen)")
        from torchvision.models import get_model  # takes a second: only when a network is made

        resnet = get_model(architecture, weights=None, num_classes=1)
        self.conv1 = _convolution_for(in_channels, resnet.conv1)
        self.bn1, self.relu, self.maxpool = resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        expansion = resnet.fc.in_features // 512
        self.channels = (64, *(width * expansion for width in (64, 128, 256, 512)))
        self.mean, self.std = (NEUTRAL_MEAN,) * in_channels, (NEUTRAL_STD,) * in_channels
        if pretrained:
            weights = load_pretrained(self, pretrained, architecture)
            self.mean, self.std = weights.mean, weights.std
        self.frozen_stages = frozen_stages
        for module in self._frozen():
            module.requires_grad_(False)
        self.train()

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        features = [self.relu(self.bn1(self.conv1(image)))]
        features.append(self.layer1(self.maxpool(features[-1])))
        for layer in (self.layer2, self.layer3, self.layer4):
            features.append(layer(features[-1]))
        return features

    def train(self, mode: bool = True) -> ResNetEncoder:
        """Switch the mode of all but the frozen stages, whose batch norm would drift otherwise."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        stages = [[self.conv1, self.bn1], [self.layer1], [self.layer2], [self.layer3], [self.layer4]]
        return [module for stage in stages[: self.frozen_stages] for module in stage]


def _convolution_for(in_channels: int, stem: nn.Conv2d) -> nn.Conv2d:
    """The stem itself, or a random one like it for another number of channels."""
    if in_channels == stem.in_channels:
        return stem
    adapted = nn.Conv2d(in_channels, stem.out_channels, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(adapted.weight, mode="fan_out", nonlinearity="relu")
    return adapted
