"""A running average of the weights: smoother than those of any single step, and often better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.optim.swa_utils import AveragedModel

from monai_seg.engines.precision import bare


class WeightAverage:
    """Average the weights of each training step exponentially (EMA), for a network to validate and to keep.

    The averages of batch norm are averaged like the weights. Early on the memory is short, so that the random weights
    of the beginning are soon forgotten: the decay of step ``n`` is ``min(decay, (1 + n) / (10 + n))``.

    Give `network` to the evaluator and to `ModelSelection`, attach this to the trainer, and put it into the state of
    `Checkpoints`, so that a resumed run goes on with it.

    Args:
        network: that is trained; each rank averages its own, and they are equal.
        decay: share of the average that each step keeps, 0 to below 1: 0.99 remembers about 100 steps. 0 averages
            nothing: `network` is then the trained one.

    Attributes:
        network: with the averaged weights, on the same device; never wrapped for several processes.

    Raises:
        ValueError: the decay is out of its range.

    Source:
        Polyak and Juditsky, 1992, doi:10.1137/0330046; the short memory of the beginning is TensorFlow's
        ``ExponentialMovingAverage``.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.0) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; give a share from 0 (no average) to below 1")
        self.decay = decay
        self._trained = bare(network)
        self._average = AveragedModel(self._trained, multi_avg_fn=self._move, use_buffers=True) if decay else None
        self.network: torch.nn.Module = network
        if self._average is not None:
            self.network = self._average.module.requires_grad_(False)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self._average is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights, and of how many steps; nothing where nothing is averaged."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        if self._average is not None:
            self._average.load_state_dict(state)

    def _update(self) -> None:
        if self._average is not None:
            self._average.update_parameters(self._trained)

    @torch.no_grad()
    def _move(
        self, averages: Sequence[torch.Tensor], current: Sequence[torch.Tensor], step: torch.Tensor | int
    ) -> None:
        decay = min(self.decay, (1 + int(step)) / (10 + int(step)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(list(averages), list(current), 1 - decay)
            return
        for average, value in zip(averages, current, strict=True):  # counters, which have no average
            average.copy_(value)
