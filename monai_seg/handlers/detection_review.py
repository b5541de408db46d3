"""TensorBoard of a detector: each of its losses, and pictures of annotated and found objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.utils.enums import CommonKeys as Keys

from monai_seg.engines.detection import LOSSES, score_threshold_of
from monai_seg.handlers.instance_panel import instance_panel
from monai_seg.handlers.tensorboard import TensorBoardReview
from monai_seg.transforms.restore_instances import size_as_read


class DetectionReview(TensorBoardReview):
    """`TensorBoardReview` of a `DetectionTrainer` and a `DetectionEvaluator`.

    Args:
        as of `TensorBoardReview`.
    """

    _terms: dict[str, list[torch.Tensor]]

    def attach(self, engine: Any) -> None:
        """Attach to the trainer."""
        self._terms = {}  # a resumed run may begin with the end of an epoch
        super().attach(engine)

    def _begin_epoch(self) -> None:
        super()._begin_epoch()
        self._terms = {}

    def _log_iteration(self, engine: Any) -> None:
        super()._log_iteration(engine)
        for name, value in engine.state.output[LOSSES].items():
            self._terms.setdefault(name, []).append(value)

    def _log_epoch(self, engine: Any) -> None:
        super()._log_epoch(engine)
        for name, values in self._terms.items():
            self.writer.add_scalar(f"loss_terms/{name}", torch.stack(values).mean().item(), engine.state.iteration)

    def _picture(self, sample: Any, output: Any) -> np.ndarray:
        return picture_of(sample, output, self.class_names, float(score_threshold_of(self.evaluator.network)))


def picture_of(sample: Any, output: Any, class_names: Sequence[str], score_threshold: float) -> np.ndarray:
    """`instance_panel` of a sample and of what a `DetectionEvaluator` gave for it, at the size of the file."""
    image, found = output[Keys.IMAGE], output[Keys.PRED]
    size = size_as_read(image)
    whole = image.as_tensor().float()
    if tuple(image.shape[1:]) != size:
        mode = "bilinear" if len(size) == 2 else "trilinear"
        whole = torch.nn.functional.interpolate(whole[None], size=size, mode=mode, align_corners=False)[0]
    return instance_panel(whole, sample if "mask" in sample else None, found, class_names, score_threshold)
