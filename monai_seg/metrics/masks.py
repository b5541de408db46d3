"""The forms in which masks come, checked and brought to one: integer label maps in which 0 means "not scored"."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.data import MetaTensor


@dataclass(frozen=True)
class MaskPair:
    """Predictions and references of a batch, ready to be compared.

    Attributes:
        prediction, reference: label maps ``(N, H, W[, D])``; 0 is not scored, 1 to ``classes`` are. uint8 where that
            suffices, else int32. Contiguous, from an address on that holds whole words of eight bytes.
        batch: number of cases B.
        channels: scored classes of a case, C. Where they overlap, each channel is a map of its own: ``N = B * C`` and
            ``classes = 1``; else ``N = B`` and ``classes = C``.
        classes: scored classes of a map.
        fault: whether anything is wrong with the values, one boolean on their device. On a CPU it was looked at
            already; elsewhere that would wait for the device, so it is left to whoever waits anyway.
    """

    prediction: torch.Tensor
    reference: torch.Tensor
    batch: int
    channels: int
    classes: int
    fault: torch.Tensor


class MaskError(ValueError):
    """Masks that cannot be compared: differing shapes or devices, or values that are no labels."""


def mask_pair(
    prediction: torch.Tensor, reference: torch.Tensor, num_classes: int | None = None, include_background: bool = False
) -> MaskPair:
    """Check a batch of predictions and references and bring them to label maps.

    Args:
        prediction, reference: label maps with one channel, whole numbers in any dtype; or masks of 0 and 1, one
            channel for each class, which may overlap.
        num_classes: number of classes with background. Masks with several channels say it themselves. One channel is
            a label map, or, where ``num_classes`` is 1, a single mask.
        include_background: score class 0 (the first channel) too.

    Shape:
        prediction, reference ``(B, 1, H, W[, D])`` or ``(B, num_classes, H, W[, D])``.

    Raises:
        MaskError: shape or device of the two differ, the channels do not fit the classes, or a value is no label.
    """
    prediction, reference = (_plain(masks) for masks in (prediction, reference))
    if prediction.shape != reference.shape:
        raise MaskError(
            f"prediction {tuple(prediction.shape)} and reference {tuple(reference.shape)} differ in shape; "
            "compare masks of one grid and one form"
        )
    if prediction.device != reference.device:
        raise MaskError(f"the prediction is on {prediction.device}, the reference on {reference.device}; move one")
    if prediction.ndim not in (4, 5) or 0 in prediction.shape:
        raise MaskError(f"masks of shape {tuple(prediction.shape)}; give (B, C, H, W[, D]) with at least one voxel")
    given = prediction.shape[1]
    if given > 1 and num_classes not in (None, given):
        raise MaskError(f"got {given} channels for {num_classes} classes; give one channel for each, or a label map")
    if given == 1 and num_classes is None:
        raise MaskError("a label map does not say how many classes there are: give num_classes, with background")
    classes = given if given > 1 else int(num_classes or 0)
    first = 0 if include_background else 1
    if classes <= first:
        raise MaskError(f"{classes} classes leave nothing to score; count the background, or include it")
    if given == 1 and classes > 1:
        return _label_maps(prediction, reference, classes, first)
    return _channels(prediction, reference, first)


def _plain(masks: torch.Tensor) -> torch.Tensor:
    if not isinstance(masks, torch.Tensor):
        raise MaskError(f"masks are {type(masks).__name__}; give tensors")
    # Without the tie to the tensor that was given: what holds these masks must not keep that one alive.
    masks = (masks.as_tensor() if isinstance(masks, MetaTensor) else masks).detach()
    # PyTorch can store these, from 16-bit files, but hardly compute with them.
    return masks.long() if masks.dtype in (torch.uint16, torch.uint32, torch.uint64) else masks


def _label_maps(prediction: torch.Tensor, reference: torch.Tensor, classes: int, first: int) -> MaskPair:
    scored = classes - first
    dtype = torch.uint8 if scored <= 255 else torch.int32
    faults, maps = [], []
    for name, labels in (("prediction", prediction), ("reference", reference)):
        fault = _no_label(labels, classes)
        if fault.device.type == "cpu" and fault:
            raise _label_error(name, labels, classes)
        faults.append(fault)
        labels = labels[:, 0].to(dtype)
        if fault.device.type != "cpu":
            # What is out of range would address foreign memory on a device that has not been asked yet.
            labels = labels.clamp(0, classes - 1)
        maps.append(_compact(labels if first else labels + 1))
    return MaskPair(maps[0], maps[1], len(prediction), channels=scored, classes=scored, fault=torch.stack(faults).any())


def _no_label(labels: torch.Tensor, classes: int) -> torch.Tensor:
    if labels.dtype == torch.bool:
        return torch.zeros((), dtype=torch.bool, device=labels.device)
    low, high = (end.double() for end in labels.aminmax())  # 256 classes are more than a byte can be compared with
    fault = ~((low >= 0) & (high < classes))  # so that NaN is one
    return fault | _differ(labels, labels.round()) if labels.is_floating_point() else fault


def _differ(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    if first.device.type == "cpu":  # in half the time
        return torch.tensor(not torch.equal(first, second))
    return (first != second).any()


def _label_error(name: str, labels: torch.Tensor, classes: int) -> MaskError:
    low, high = labels.min().item(), labels.max().item()
    if labels.is_floating_point() and low >= 0 and high < classes:
        return MaskError(f"{name} holds fractions from {low:.4g} to {high:.4g}; give whole numbers, as from argmax")
    return MaskError(f"{name} holds labels from {low:g} to {high:g}; classes are 0 to {classes - 1}")


def _channels(prediction: torch.Tensor, reference: torch.Tensor, first: int) -> MaskPair:
    faults, masks = [], []
    for name, channels in (("prediction", prediction), ("reference", reference)):
        ones = channels.bool()
        fault = _differ(ones.to(channels.dtype), channels)
        if fault.device.type == "cpu" and fault:
            low, high = channels.min().item(), channels.max().item()
            raise MaskError(f"{name} has {channels.shape[1]} channels with values from {low:.4g} to {high:.4g}; "
                            "masks are 0 and 1, label maps have one channel")  # fmt: skip
        faults.append(fault)
        masks.append(ones[:, first:])
    batch, scored = masks[0].shape[:2]
    fault = torch.stack(faults).any()
    if 1 < scored <= 255 and not any(_overlap(channels) for channels in masks):
        prediction, reference = (_compact(_labels_of(channels)) for channels in masks)
        return MaskPair(prediction, reference, batch, channels=scored, classes=scored, fault=fault)
    prediction, reference = (_compact(channels.flatten(0, 1)).view(torch.uint8) for channels in masks)
    return MaskPair(prediction, reference, batch, channels=scored, classes=1, fault=fault)


def _compact(labels: torch.Tensor) -> torch.Tensor:
    labels = labels.contiguous()
    return labels.clone() if labels.storage_offset() * labels.element_size() % 8 else labels


def _overlap(channels: torch.Tensor) -> bool:
    seen = channels[:, 0].clone()
    overlap = torch.zeros((), dtype=torch.bool, device=channels.device)
    for channel in channels.unbind(1)[1:]:
        overlap |= (seen & channel).any()
        seen |= channel
    return bool(overlap)


def _labels_of(channels: torch.Tensor) -> torch.Tensor:
    labels = channels[:, 0].to(torch.uint8)
    for index, channel in enumerate(channels.unbind(1)[1:], 2):
        labels |= channel.to(torch.uint8) * index
    return labels
