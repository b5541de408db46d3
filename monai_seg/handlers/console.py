"""What a training run says in a terminal: a bar within the epoch, a line after it."""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

import torch
from ignite.engine import Events
from monai.utils.enums import CommonKeys as Keys
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from monai_seg.engines.distribution import rank

logger = logging.getLogger(__name__)


class ConsoleProgress:
    """Report a training run on the first rank: a moving bar where there is a terminal, one log line for each epoch.

    Attach it after the validation, whose result is in the line.

    Args:
        evaluator: validates during training.
        selection: knows the best metric so far.
    """

    def __init__(self, evaluator: Any, selection: Any) -> None:
        self.evaluator, self.selection = evaluator, selection
        self._bar: Progress | None = None
        self._losses: list[torch.Tensor] = []
        self._began = 0.0

    def attach(self, engine: Any) -> None:
        """Attach to the trainer."""
        if rank() != 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.EXCEPTION_RAISED, lambda error: self._stop_bar())

    def _begin_epoch(self, engine: Any) -> None:
        self._losses.clear()
        self._began = time.monotonic()
        if sys.stderr.isatty():
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            done = engine.state.iteration % engine.state.epoch_length
            self._bar.add_task("", total=engine.state.epoch_length, completed=done, epoch=engine.state.epoch)

    def _step(self, engine: Any) -> None:
        self._losses.append(engine.state.output[Keys.LOSS].detach())
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def _end_epoch(self, engine: Any) -> None:
        self._stop_bar()
        state = engine.state
        parts = [f"epoch {state.epoch:>{len(str(state.max_epochs))}}/{state.max_epochs}"]
        if self._losses:
            parts.append(f"loss {torch.stack(self._losses).mean().item():.4f}")
        if self.evaluator.state.epoch == state.epoch:  # validated in this epoch
            metrics = self.evaluator.state.metrics
            parts += [f"{name} {_shown(metrics[name])}" for name in self.evaluator.metric_names]
            best = self.selection
            parts.append("(best)" if best.best_epoch == state.epoch else f"(best {_shown(best.best_metric)})")
        if self._losses:  # not so where a resumed run closes the epoch in which it was stopped
            parts.append(f"{time.monotonic() - self._began:.1f} s")
        logger.info("  ".join(parts))

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _shown(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"
