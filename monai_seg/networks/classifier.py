"""Classifiers of torchvision by name, or the compact CNN: any number of channels and classes, one temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from monai_seg.networks.compact_cnn import CompactCNN
from monai_seg.networks.pretrained import load_pretrained
from monai_seg.networks.weight_errors import WeightsMismatchError

COMPACT = "compact"
_NOT_HERE = ("quantized_", "googlenet", "inception_v3")  # 8 bit weights; a second output in training


class Classifier(nn.Module):
    """One score for each class of an image, by a network of torchvision or by `CompactCNN`.

    In evaluation mode the scores are divided by `temperature`, so that their softmax is calibrated; the classes that
    they name stay the same.

    Args:
        architecture: ``"compact"``, or what torchvision calls a classifier, as ``resnet18`` or ``efficientnet_b0``.
        in_channels: of the image.
        num_classes: all of them, exclusive.
        image_size: side of the images in pixels. `CompactCNN` is made for it; others take any size, but weights are
            those of one: it lies with them, and those of another are refused.
        dropout: share of the features that a training step leaves out before the last linear layer of a network of
            torchvision; `CompactCNN` has rates of its own.
        pretrained: weights to start from, see `load_pretrained`; None starts from random ones. They are torchvision's.
        stem: with pretrained weights and another number of channels, ``"summed"`` fits their first convolution, so that
            it answers a grey image as it answers the same one in RGB; ``"new"`` begins that layer from random weights.

    Attributes:
        temperature: a buffer that lies with the weights, 1 until `monai_seg.handlers.ClassificationEvaluation` fits it
            on the validation section.

    Shape:
        image ``(B, in_channels, H, W)``. Gives ``(B, num_classes)``, float32 in evaluation mode.

    Raises:
        ValueError: an option is impossible, or torchvision knows no such classifier.
        WeightsUnavailableError, WeightsMismatchError: see `load_pretrained`; the latter also where weights are loaded
            that were trained on images of another size.

    Source:
        arXiv:1706.04599 for the temperature.
    """

    temperature: torch.Tensor
    image_size: torch.Tensor

    def __init__(
        self,
        architecture: str = "resnet18",
        in_channels: int = 1,
        num_classes: int = 5,
        image_size: int = 224,
        dropout: float = 0.3,
        pretrained: str | Path | None = None,
        stem: Literal["summed", "new"] = "summed",
    ) -> None:
        super().__init__()
        if in_channels < 1 or num_classes < 2:
            raise ValueError(f"in_channels is {in_channels}, num_classes {num_classes}; give 1 and 2 or more")
        if stem not in ("summed", "new"):
            raise ValueError(f"stem is {stem!r}; give summed or new")
        self.architecture, self.in_channels, self.num_classes = architecture, in_channels, num_classes
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("image_size", torch.tensor(image_size))
        self.set_size = image_size
        self.register_load_state_dict_post_hook(_refuse_other_size)
        if architecture == COMPACT:
            if pretrained:
                raise ValueError("there are no pretrained weights of the compact CNN; set pretrained to null")
            self.network: nn.Module = CompactCNN(in_channels, num_classes, image_size)
        else:
            self.network = _of_torchvision(architecture, in_channels, num_classes, dropout, pretrained, stem)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = self.network(image)
        return scores if self.training else scores.float() / self.temperature

    @property
    def head(self) -> nn.Module:
        """The last linear layer; what goes into it are the features of an image."""
        return [module for module in self.network.modules() if isinstance(module, nn.Linear)][-1]


def _refuse_other_size(network: Classifier, keys: object) -> None:
    """Such weights would fit, and be wrong without a word: a ResNet takes images of any size."""
    trained = int(network.image_size)
    if trained != network.set_size:
        raise WeightsMismatchError(
            f"the weights were trained on images of {trained} pixels, image_size is {network.set_size}; "
            f"give image_size {trained}"
        )


def _of_torchvision(
    architecture: str, in_channels: int, num_classes: int, dropout: float, pretrained: str | Path | None, stem: str
) -> nn.Module:
    from torchvision import models  # takes a second: only when a network is made

    known = [name for name in models.list_models(module=models) if not name.startswith(_NOT_HERE)]
    if architecture not in known:
        raise ValueError(f"architecture is {architecture!r}; give {COMPACT} or one of {', '.join(known)}")
    network = models.get_model(architecture, weights=None, num_classes=num_classes)
    first = next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1:]
    if not last:  # SqueezeNet ends in a convolution
        raise ValueError(f"{architecture} has no linear layer for its classes; give another architecture")
    _replace(network, first, _for_channels(network.get_submodule(first), in_channels))
    if pretrained:
        ignored = (f"{last[0]}.", *([f"{first}."] if stem == "new" else []))
        load_pretrained(network, pretrained, architecture, ignored, stem=f"{first}.weight")
    if dropout:
        _replace(network, last[0], nn.Sequential(nn.Dropout(dropout), network.get_submodule(last[0])))
    return network


def _for_channels(stem: nn.Module, in_channels: int) -> nn.Module:
    """The stem itself, or a random one like it for another number of channels."""
    if not isinstance(stem, nn.Conv2d) or stem.in_channels == in_channels:
        return stem
    settings = {name: getattr(stem, name) for name in ("kernel_size", "stride", "padding", "dilation")}
    adapted = nn.Conv2d(in_channels, stem.out_channels, bias=stem.bias is not None, **settings)
    nn.init.kaiming_normal_(adapted.weight, mode="fan_out", nonlinearity="relu")
    if adapted.bias is not None:
        nn.init.zeros_(adapted.bias)
    return adapted


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)
