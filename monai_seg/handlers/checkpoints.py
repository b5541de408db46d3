"""``last.pt``: the whole state of a run, from which it goes on as if nothing had happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events

from monai_seg.engines.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from monai_seg.engines.distribution import from_all_ranks, rank, wait_for_all_ranks, world_size
from monai_seg.engines.run_folder import RunFolder
from monai_seg.handlers.interruption import Interruption

logger = logging.getLogger(__name__)


class Checkpoints:
    """Save the state of a run after each epoch, every few minutes, and when the run is asked to end; restore it.

    Order, augmentation and dropout are functions of seed, epoch, index and iteration, so the state holds no generator.
    Attach it last: what other handlers do at the end of an epoch belongs to the epoch.

    Args:
        state: objects with ``state_dict`` by name: network, optimiser, schedule, selection, average of weights ...
        run_folder: gives the place of ``last.pt``.
        evaluator: validates during training; a run that is asked to end does not wait for it.
        save_interval_s: seconds after which a state is saved in mid-epoch.
    """

    def __init__(
        self, state: Mapping[str, Any], run_folder: RunFolder, evaluator: Engine, save_interval_s: float = 300.0
    ) -> None:
        self.state, self.run_folder, self.evaluator = dict(state), run_folder, evaluator
        self.save_interval_s = save_interval_s
        self.interruption = Interruption()
        self._saved_at = 0.0
        self._epoch_is_closed = True

    def attach(self, engine: Any) -> None:
        """Attach to the trainer."""
        self.state.setdefault("loss_scaler", engine.loss_scaler)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._open_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._during_validation, engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._close_epoch)
        engine.add_event_handler(Events.COMPLETED, self.interruption.stop_listening)
        engine.add_event_handler(Events.EXCEPTION_RAISED, lambda error: self.interruption.stop_listening())

    def restore(self, trainer: Any) -> bool:
        """Bring a trainer that is to resume to where ``last.pt`` left it.

        Without that file, as after a kill before the first save, the run starts at its beginning.

        Returns:
            Whether there is anything left to train.

        Raises:
            CheckpointError: the file is damaged, or is of a run with another number of iterations per epoch.
        """
        if not self.run_folder.resume:
            return True
        if not self.run_folder.last_state.is_file():
            logger.info("%s does not exist yet: the run starts at its beginning", self.run_folder.last_state)
            return True
        facts = load_checkpoint(self.run_folder.last_state, self.state, trainer.state.device)
        if facts["epoch_length"] != trainer.state.epoch_length:
            raise CheckpointError(
                f"{self.run_folder.last_state} belongs to a run of {facts['epoch_length']} iterations per epoch, "
                f"this one has {trainer.state.epoch_length}\n"
                "  mend   resume with the same data, batch_size and number of processes"
            )
        trainer.state.iteration, trainer.state.epoch = facts["iteration"], facts["epoch"]
        logger.info("resumed at epoch %d, iteration %d", facts["epoch"], facts["iteration"])
        if not facts["epoch_is_closed"]:
            in_mid_epoch = facts["iteration"] < facts["epoch"] * facts["epoch_length"]
            if in_mid_epoch and not self._is_spent():
                trainer.state.epoch -= 1  # Ignite counts it up again as it goes on within the epoch
            else:
                trainer.fire_event(Events.EPOCH_COMPLETED)  # the kill came between the last iteration and validation
        return not self._is_finished(trainer)

    def _is_spent(self) -> bool:
        return any(getattr(item, "is_spent", False) for item in self.state.values())

    def _is_finished(self, trainer: Any) -> bool:
        waited = any(getattr(item, "has_waited_enough", False) for item in self.state.values())
        finished = trainer.state.epoch >= trainer.state.max_epochs or waited or self._is_spent()
        if finished:
            logger.info("the run is finished: nothing is left to train (max_epochs is %d)", trainer.state.max_epochs)
        return finished

    def _start(self) -> None:
        self.interruption.listen()
        self._saved_at = time.monotonic()

    def _open_epoch(self) -> None:
        self._epoch_is_closed = False

    def _close_epoch(self, engine: Any) -> None:
        self._epoch_is_closed = True
        self._save(engine)
        self._leave_if_asked(engine, saved=True)

    def _after_iteration(self, engine: Any) -> None:
        # Only between iterations of an epoch: at its end `_close_epoch` saves.
        if time.monotonic() - self._saved_at > self.save_interval_s:
            self._save(engine)
        self._leave_if_asked(engine)

    def _during_validation(self, trainer: Any) -> None:
        # Ranks validate differing numbers of cases, so that they cannot agree before all have ended.
        if world_size() == 1:
            self._leave_if_asked(trainer)

    def _leave_if_asked(self, trainer: Any, saved: bool = False) -> None:
        asked = [number for number in from_all_ranks(self.interruption.received) if number]
        if not asked:
            return
        self.interruption.received = asked[0]
        if not saved:
            self._save(trainer)
        wait_for_all_ranks()
        self.interruption.stop_listening()
        logger.warning("interrupted: the state is in %s; --resume true goes on from there", self.run_folder.last_state)
        raise SystemExit(self.interruption.exit_code)

    def _save(self, engine: Any) -> None:
        self._saved_at = time.monotonic()
        if rank() == 0:
            facts = {
                "epoch": engine.state.epoch,
                "iteration": engine.state.iteration,
                "epoch_length": engine.state.epoch_length,
                "epoch_is_closed": self._epoch_is_closed,
            }
            save_checkpoint(self.run_folder.last_state, self.state, facts)
