"""Exact voxel counts of two label maps, on their device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_seg.metrics.masks import MaskPair


@dataclass(frozen=True)
class OverlapCounts:
    """Voxels of each case and class, whole numbers in float64, ``(B, C)``.

    Attributes:
        hit: in prediction and reference.
        predicted, referred: in the prediction, in the reference.
        total: in the image.
    """

    hit: torch.Tensor
    predicted: torch.Tensor
    referred: torch.Tensor
    total: int


def overlap_counts(masks: MaskPair) -> OverlapCounts:
    """Count the voxels of each class in each map."""
    prediction, reference = masks.prediction.flatten(1), masks.reference.flatten(1)
    maps, voxels = prediction.shape
    if masks.classes == 1:
        counts = [_ones(mask) for mask in (prediction & reference, prediction, reference)]
    elif prediction.device.type == "cpu":
        counts = _by_map(prediction, reference, masks.classes)
    else:
        offset = torch.arange(maps, device=prediction.device)[:, None] * (masks.classes + 1)
        both = torch.where(prediction == reference, reference, 0)
        counts = [
            histogram((labels + offset).flatten(), maps * (masks.classes + 1)).view(maps, -1)[:, 1:]
            for labels in (both, prediction, reference)
        ]
    hit, predicted, referred = (count.view(masks.batch, masks.channels).double() for count in counts)
    return OverlapCounts(hit, predicted, referred, voxels)


def histogram(keys: torch.Tensor, size: int) -> torch.Tensor:
    """How often each whole number below ``size`` occurs: ``bincount``, which on a GPU would wait for the device.

    Shape:
        keys ``(N,)``, any integer dtype. Gives ``(size,)``, int64.
    """
    if keys.device.type == "cpu":
        return torch.bincount(keys, minlength=size)
    counts = torch.zeros(size, dtype=torch.int64, device=keys.device)
    return counts.scatter_add_(0, keys.long(), torch.ones((), dtype=torch.int64, device=keys.device).expand(len(keys)))


def _by_map(prediction: torch.Tensor, reference: torch.Tensor, classes: int) -> list[torch.Tensor]:
    rows = []
    for predicted, referred in zip(prediction, reference, strict=True):
        if predicted.numel() % 8 == 0 and predicted.dtype == torch.uint8:
            # Eight voxels at a time: most of an image is background in both, which is not counted.
            words = [labels.view(torch.int64) for labels in (predicted, referred)]
            kept = (words[0] | words[1]).nonzero().squeeze(1)
            predicted, referred = (labels.index_select(0, kept).view(torch.uint8) for labels in words)
        both = torch.where(predicted == referred, referred, 0)
        rows.append([histogram(labels, classes + 1)[1:] for labels in (both, predicted, referred)])
    return [torch.stack(count) for count in zip(*rows, strict=True)]


def _ones(masks: torch.Tensor) -> torch.Tensor:
    """Number of ones in each row of bytes, 255 words of eight at a time: no lane of a sum can overflow."""
    rows, length = masks.shape
    whole = length // (8 * 255) * (8 * 255)
    counts = masks[:, whole:].sum(1, dtype=torch.int64)
    if whole:
        words = masks[:, :whole].flatten().view(torch.int64).view(rows, -1, 255)
        counts += words.sum(2).view(torch.uint8).view(rows, -1).sum(1, dtype=torch.int64)
    return counts
