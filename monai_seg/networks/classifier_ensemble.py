"""Several classifiers trained side by side on the same batches, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from monai_seg.networks.classifier import COMPACT, Classifier


class ClassifierEnsemble(nn.Module):
    """Networks that learn each by itself and judge together.

    In training mode each gives its own scores, for a loss that takes a list, such as
    `monai_seg.losses.ClassificationLoss`: no gradient of one reaches the other. In evaluation mode the result is the
    logarithm of the mean of their probabilities, divided by `temperature`.

    Args:
        members: classifiers of the same classes.

    Attributes:
        temperature: of the ensemble, see `Classifier`; those of the members stay 1.

    Shape:
        image ``(B, C, H, W)``. Gives a list of ``(B, num_classes)`` in training, one such tensor in evaluation.

    Raises:
        ValueError: there is no member.
    """

    temperature: torch.Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("members is empty; give one network or more")
        self.members = nn.ModuleList(members)
        self.in_channels = int(members[0].in_channels)  # type: ignore[arg-type]
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor] | torch.Tensor:
        scores = [member(image) for member in self.members]
        if self.training:
            return scores
        mean = torch.stack([each.float().log_softmax(1) for each in scores]).logsumexp(0)  # up to a constant
        return mean.log_softmax(1) / self.temperature


def make_classifier(
    architecture: str | Sequence[str] = "resnet18",
    in_channels: int = 1,
    num_classes: int = 5,
    image_size: int = 224,
    dropout: float = 0.3,
    pretrained: str | Path | None = None,
    stem: Literal["summed", "new"] = "summed",
) -> Classifier | ClassifierEnsemble:
    """One `Classifier`, or a `ClassifierEnsemble` of several, by their names.

    Args:
        architecture: of one network, or a list of them: ``["resnet18", "compact"]``.
        in_channels, num_classes, image_size, dropout, stem: of each `Classifier`.
        pretrained: of each of torchvision's; the compact CNN of an ensemble begins from random weights.
    """

    def made(name: str, weights: str | Path | None) -> Classifier:
        return Classifier(name, in_channels, num_classes, image_size, dropout, weights, stem)

    if isinstance(architecture, str):
        return made(architecture, pretrained)
    return ClassifierEnsemble([made(name, None if name == COMPACT else pretrained) for name in architecture])
