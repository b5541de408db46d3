"""When a training run is validated: on an interval, and at its end."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler


class IntervalValidation(ValidationHandler):
    """MONAI's `ValidationHandler` that validates the last epoch too, wherever the interval falls.

    The learning rate is lowest at the end of a run, so the model that is best most often is the last one; a run that
    ends by its time budget would leave it unjudged.

    Args:
        validator, interval: as in MONAI; the interval counts epochs.
    """

    def __init__(self, validator: Any, interval: int) -> None:
        super().__init__(interval=interval, validator=validator, epoch_level=True)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after whatever may end the run."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate_when_due)

    def _validate_when_due(self, engine: Any) -> None:
        is_last = engine.should_terminate or engine.state.epoch == engine.state.max_epochs
        if is_last or engine.state.epoch % self.interval == 0:
            self(engine)
