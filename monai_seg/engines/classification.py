"""What classifiers need of the engines: mix-up of batches, mirrored images at test time, and the kept temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.engines.utils import default_prepare_batch
from monai.inferers import Inferer, SimpleInferer

from monai_seg.engines.precision import bare


class MixUp:
    """Prepare a batch for training: each image is laid over another one, and so are their classes.

    For ``prepare_batch`` of a `Trainer`, which seeds the draws by its iteration.

    Args:
        num_classes: all of them.
        alpha: of the Beta distribution that the share of the first image is drawn from, once for each batch: 0.2 mixes
            few batches much, 1 all shares equally often, 0 leaves the batch and its class indices as they are.

    Shape:
        Gives images ``(B, C, H, W)`` and targets ``(B, num_classes)``, or ``(B,)`` with ``alpha`` 0.

    Raises:
        ValueError: ``alpha`` is below 0.

    Source:
        Zhang et al., mixup, 2018, arXiv:1710.09412.
    """

    def __init__(self, num_classes: int, alpha: float = 0.2) -> None:
        if alpha < 0:
            raise ValueError(f"alpha is {alpha}; give 0 (no mix-up) or more")
        self.num_classes, self.alpha = num_classes, alpha

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = default_prepare_batch(batch, device, non_blocking, **kwargs)
        if not self.alpha:
            return images, labels
        images = getattr(images, "as_tensor", lambda: images)()
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        order = torch.randperm(len(images)).to(images.device)
        targets = F.one_hot(torch.as_tensor(labels).long(), self.num_classes).to(images)
        return (
            images * share + images[order] * (1 - share),
            targets * share + targets[order] * (1 - share),
        )


class MirrorAverage(Inferer):
    """Judge an image and its mirror image, and average the scores of the two.

    Scores and not probabilities: so a temperature that is fitted afterwards divides the average as it divides each.

    Args:
        inferer: how to call the network, None for a plain call.
        enabled: False judges the image alone.
        axes: of ``(B, C, H, W)`` to mirror; left and right by default.

    Shape:
        Gives scores ``(B, K)``.
    """

    def __init__(self, inferer: Inferer | None = None, enabled: bool = True, axes: Sequence[int] = (3,)) -> None:
        super().__init__()
        self.inferer, self.enabled, self.axes = inferer or SimpleInferer(), enabled, tuple(axes)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        scores = self.inferer(inputs, network, *args, **kwargs)
        if not self.enabled:
            return scores
        return (scores + self.inferer(inputs.flip(self.axes), network, *args, **kwargs)) / 2


def temperature_of(network: torch.nn.Module) -> torch.Tensor:
    """What a classifier divides its scores by, so that they are probabilities: a buffer that lies with its weights.

    Raises:
        ValueError: the network keeps none.
    """
    kept = getattr(bare(network), "temperature", None)
    if not isinstance(kept, torch.Tensor):
        raise ValueError(f"{type(bare(network)).__name__} keeps no temperature: it is no classifier of this project")
    return kept
