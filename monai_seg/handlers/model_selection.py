"""Which model is kept, the best or the last, and when more training is no longer worth it."""

from __future__ import annotations

import logging
import math
from typing import Any, Literal

import torch
from ignite.engine import Engine, Events

from monai_seg.engines.checkpoint import read_checkpoint, save_checkpoint
from monai_seg.engines.distribution import rank
from monai_seg.engines.run_folder import RunFolder

logger = logging.getLogger(__name__)


class ModelSelection:
    """Save ``best.pt`` whenever the evaluator's key metric rises, and stop when it has not risen for long.

    Where validation has few cases, the best of many validations is luck, and its metric flatters: ``keep="last"``
    saves the model of each validation, so that the one at the end of the schedule remains.

    Its state is part of the run's checkpoint, so that a resumed run neither overwrites a better model nor forgets how
    long it has waited.

    Args:
        evaluator: validates during training; its key metric counts, larger is better.
        network: to be saved.
        run_folder: gives the place of ``best.pt``.
        patience: validations without a rise after which training stops; 0 never stops early.
        keep: ``"best"`` or ``"last"``.

    Raises:
        ValueError: ``keep`` is neither.
    """

    def __init__(
        self,
        evaluator: Any,
        network: torch.nn.Module,
        run_folder: RunFolder,
        patience: int = 0,
        keep: Literal["best", "last"] = "best",
    ) -> None:
        if keep not in ("best", "last"):
            raise ValueError(f"keep is {keep!r}; give best or last")
        self.keep = keep
        self.evaluator, self.network, self.run_folder, self.patience = evaluator, network, run_folder, patience
        self.best_metric, self.best_epoch, self.waited = -math.inf, 0, 0
        self._stored_metric = -math.inf

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        self.evaluator.add_event_handler(Events.COMPLETED, self._judge, engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._stop_when_waited)

    @property
    def has_waited_enough(self) -> bool:
        """Whether the patience is used up."""
        return bool(self.patience) and self.waited >= self.patience

    def state_dict(self) -> dict[str, float | int]:
        """Best metric, its epoch, and validations since."""
        return {"best_metric": self.best_metric, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.best_metric, self.best_epoch = state["best_metric"], state["best_epoch"]
        self.waited = state["waited"]
        # A kill between saving best.pt and last.pt leaves a model that the state does not know of yet; the epoch done
        # again may end lower, where the clock or a GPU has a say in it.
        if self.run_folder.best_model.is_file():
            self._stored_metric = read_checkpoint(self.run_folder.best_model)["facts"]["value"]

    def _judge(self, trainer: Any) -> None:
        name = self.evaluator.state.key_metric_name
        value = float(self.evaluator.state.metrics[name])
        is_best = value > self.best_metric  # False for NaN: a validation without a defined value selects nothing
        if is_best:
            self.best_metric, self.best_epoch, self.waited = value, trainer.state.epoch, 0
        else:
            self.waited += 1
        if rank() == 0 and (self.keep == "last" or (is_best and value >= self._stored_metric)):
            facts = {"epoch": trainer.state.epoch, "iteration": trainer.state.iteration, "metric": name}
            save_checkpoint(self.run_folder.best_model, {"model": self.network}, {**facts, "value": value})

    def _stop_when_waited(self, engine: Engine) -> None:
        if self.has_waited_enough:
            logger.info(
                "stopped early: no rise of the validation metric above %.4f (epoch %d) in %d validations",
                self.best_metric, self.best_epoch, self.waited,
            )  # fmt: skip
            engine.terminate()
