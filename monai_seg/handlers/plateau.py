"""A learning rate that falls when validation no longer improves."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_seg.handlers.schedule import CosineSchedule

logger = logging.getLogger(__name__)
_THRESHOLD = 1e-4


class PlateauSchedule(CosineSchedule):
    """Keep the learning rate, and lower it whenever the key metric of the evaluator has not risen for long.

    It follows PyTorch's ``ReduceLROnPlateau`` (mode ``max``, relative threshold 1e-4) and is resumed with the run; a
    time budget ends the run as with `CosineSchedule`.

    Args:
        optimizer: whose groups keep their own base rate.
        evaluator: validates during training; its key metric counts, larger is better.
        factor: what the rate is multiplied by, above 0 and below 1.
        patience: validations without a rise that are waited for; the next one lowers the rate.
        time_budget_s: as in `CosineSchedule`.

    Raises:
        ValueError: factor or patience is out of its range.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        evaluator: Any,
        factor: float = 0.1,
        patience: int = 3,
        time_budget_s: float = 0.0,
    ) -> None:
        if not 0 < factor < 1 or patience < 0:
            raise ValueError(f"factor is {factor}, patience {patience}; give above 0 to below 1, and 0 or more")
        super().__init__(optimizer, time_budget_s, warmup_share=0.0)
        self.evaluator, self.factor, self.patience = evaluator, factor, patience
        self.best, self.waited, self.reductions = -math.inf, 0, 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        super().attach(engine)
        self.evaluator.add_event_handler(Events.COMPLETED, self._judge)

    def rate_factor(self, progress: float) -> float:
        """Share of the base rate, whatever the progress."""
        return self.factor**self.reductions

    def state_dict(self) -> dict[str, Any]:
        """Seconds spent, the best metric, validations since, and how often the rate was lowered."""
        own = {"best": self.best, "waited": self.waited, "reductions": self.reductions}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        super().load_state_dict(state)
        self.best, self.waited, self.reductions = state["best"], state["waited"], state["reductions"]

    def _judge(self) -> None:
        value = float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
        if value > self.best + _THRESHOLD * abs(self.best) or (math.isinf(self.best) and value > self.best):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.reductions, self.waited = self.reductions + 1, 0
            logger.info("no rise in %d validations: the learning rate falls to %.1e of its base",
                        self.patience + 1, self.rate_factor(0.0))  # fmt: skip
