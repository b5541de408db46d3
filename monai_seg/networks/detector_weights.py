"""Weights of a whole torchvision detector, with the heads that depend on its classes made anew."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_seg.networks.pretrained import PretrainedWeights, load_pretrained

_STEM = "backbone.body.conv1.weight"
_OF_THE_CLASSES = (
    "roi_heads.box_predictor.",
    "roi_heads.mask_predictor.mask_fcn_logits.",
    "transform.",  # torchvision's own has no buffers
    "backbone.body.fc.",
)


def load_detector(detector: torch.nn.Module, pretrained: str | Path, architecture: str) -> PretrainedWeights:
    """Put the weights of torchvision's detector into one of the same make for other classes and channels.

    Args:
        detector: with torchvision's parameter names.
        pretrained: torchvision's name, as ``COCO_V1``, or a file of a state dict.
        architecture: what torchvision calls it, as ``maskrcnn_resnet50_fpn``.

    Raises:
        ValueError, WeightsUnavailableError, WeightsMismatchError: see `load_pretrained`.
    """
    return load_pretrained(detector, pretrained, architecture, ignore=_OF_THE_CLASSES, stem=_STEM)
