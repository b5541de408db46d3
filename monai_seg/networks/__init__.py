"""Networks and their pretrained weights. Names load their file on first use, so that starting up stays fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_seg.networks.encoder import ResNetEncoder
    from monai_seg.networks.pretrained import PretrainedWeights, load_pretrained, read_pretrained
    from monai_seg.networks.resnet_unet import ResNet50UNet
    from monai_seg.networks.weight_errors import WeightsMismatchError, WeightsUnavailableError

_HOMES = {
    "PretrainedWeights": "pretrained",
    "ResNet50UNet": "resnet_unet",
    "ResNetEncoder": "encoder",
    "WeightsMismatchError": "weight_errors",
    "WeightsUnavailableError": "weight_errors",
    "load_pretrained": "pretrained",
    "read_pretrained": "pretrained",
}

__all__ = [
    "PretrainedWeights",
    "ResNet50UNet",
    "ResNetEncoder",
    "WeightsMismatchError",
    "WeightsUnavailableError",
    "load_pretrained",
    "read_pretrained",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
