"""Learning rate along the progress of a run, and the end of a run that has only so much time."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_seg.engines.distribution import from_first_rank

logger = logging.getLogger(__name__)


class CosineSchedule:
    """Warm up, then let the learning rate fall along a half cosine to zero, exactly at the end of the run.

    The end is ``max_epochs`` or ``time_budget_s``, whichever comes first: progress is the larger of the two shares.
    With a time budget the rate thus depends on the clock; without one it is a function of the iteration alone.
    When the time is used up, the epoch ends early and is validated and saved like any other.

    Args:
        optimizer: whose groups keep their own base rate.
        time_budget_s: seconds of training and validation, resumed ones counted together; 0 sets no limit.
        warmup_share: share of the run in which the rate rises linearly from zero.

    Attributes:
        progress: share of the run that is done, from 0 to 1, in the middle of the present iteration.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, time_budget_s: float = 0.0, warmup_share: float = 0.03
    ) -> None:
        if time_budget_s < 0:
            raise ValueError(f"time_budget_s is {time_budget_s}; give seconds, or 0 for no limit")
        self.optimizer, self.time_budget_s, self.warmup_share = optimizer, time_budget_s, warmup_share
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        self.progress = 0.0
        self._spent_before_s = 0.0
        self._started: float | None = None

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rate)
        if self.time_budget_s:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_when_spent)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._stop_when_spent)

    @property
    def spent_s(self) -> float:
        """Seconds used so far, those of earlier sessions of the same run included."""
        return self._spent_before_s + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def is_spent(self) -> bool:
        """Whether the time budget is used up."""
        return bool(self.time_budget_s) and self.spent_s >= self.time_budget_s

    def rate_factor(self, progress: float) -> float:
        """Share of the base rate at a progress in [0, 1]."""
        warm = min(1.0, progress / self.warmup_share) if self.warmup_share else 1.0
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def state_dict(self) -> dict[str, Any]:
        """Seconds spent. The base rates are settings, which may be set anew when a run is resumed."""
        return {"spent_s": self.spent_s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._spent_before_s = state["spent_s"]

    def _start(self) -> None:
        self._started = time.monotonic()

    def _set_rate(self, engine: Any) -> None:
        # The middle of the iteration: the first one then has a rate above zero, and so has the last.
        progress = (engine.state.iteration - 0.5) / (engine.state.max_epochs * engine.state.epoch_length)
        if self.time_budget_s:
            progress = max(progress, from_first_rank(self.spent_s) / self.time_budget_s)
        self.progress = min(1.0, progress)
        factor = self.rate_factor(self.progress)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def _end_when_spent(self, engine: Engine) -> None:
        if from_first_rank(self.is_spent):
            engine.terminate_epoch()

    def _stop_when_spent(self, engine: Engine) -> None:
        if from_first_rank(self.is_spent):
            logger.info("the time budget of %.0f s is used up in epoch %d", self.time_budget_s, engine.state.epoch)
            engine.terminate()
