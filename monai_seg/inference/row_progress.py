"""How far a scene is, said every few seconds; what is short says nothing."""

from __future__ import annotations

import logging
import time

_TOLD_EVERY_S = 2.0
logger = logging.getLogger(__name__)


class RowProgress:
    """Log the rows that are done, and the time that the others will take.

    Args:
        task: what is being done, and to which file.
        rows: how many there are.
    """

    def __init__(self, task: str, rows: int) -> None:
        self.task, self.rows = task, rows
        self._begun = self._told = time.monotonic()

    def at(self, done: int) -> None:
        """Say it where it is time; the last row is not worth a word."""
        now = time.monotonic()
        if now - self._told > _TOLD_EVERY_S and done < self.rows:
            self._told = now
            left_s = (now - self._begun) / done * (self.rows - done) if done else float("nan")
            logger.info("%s: %d of %d rows, %.0f s left", self.task, done, self.rows, left_s)
