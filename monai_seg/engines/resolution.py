"""Training that begins on small images: most of what a network has to learn can be seen at half the size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from monai.inferers import Inferer


class Progress(Protocol):
    """What knows how far a run is; see `monai_seg.handlers.CosineSchedule`."""

    progress: float


class LowResolutionFirst(Inferer):
    """Show the network shrunken images at the beginning of the training, and whole ones afterwards.

    What it gives is scaled up to the size of the images, so that loss, targets and augmentation are those of the full
    size throughout; the scores of a classifier have no size and stay as they are. At half the size a step costs about a
    quarter, and a budget sees four times as many images.

    Args:
        schedule: knows how far the run is.
        share: of the run that is done on small images: 0 to 1; 0 = none.
        scale: their size, as a share of the whole: above 0, at most 1.

    Shape:
        inputs ``(B, C, H, W[, D])``; gives what the network gives, a tensor or a list of them, at the inputs' size, or
        ``(B, K)`` of a classifier.

    Raises:
        ValueError: share or scale is out of its range.

    Source:
        Tan and Le, EfficientNetV2, 2021, arXiv:2104.00298, on progressive learning.
    """

    def __init__(self, schedule: Progress, share: float = 0.5, scale: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}; give a share of the run between 0 and 1")
        if not 0 < scale <= 1:
            raise ValueError(f"scale is {scale}; give a share of the images' size, above 0 and at most 1")
        self.schedule, self.share, self.scale = schedule, share, scale

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.scale == 1 or self.schedule.progress >= self.share:
            return network(inputs, *args, **kwargs)
        size = tuple(inputs.shape[2:])
        small = _resize(inputs, tuple(max(1, round(length * self.scale)) for length in size))
        outputs = network(small, *args, **kwargs)
        if isinstance(outputs, torch.Tensor):
            return _restored(outputs, size)
        return [_restored(output, size) for output in outputs]


def _restored(output: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return output if output.ndim == 2 else _resize(output, size)


def _resize(images: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    mode = "trilinear" if len(size) == 3 else "bilinear"
    # Without antialiasing a shrunken image holds patterns that the whole one has not; for volumes PyTorch has none.
    antialias = len(size) == 2 and size[0] < images.shape[2]
    return F.interpolate(images, size=size, mode=mode, align_corners=False, antialias=antialias)
