"""SIGTERM, SIGINT and SIGHUP end a run tidily: after the iteration, with its state saved, with a code of their own."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)  # no SIGHUP on Windows
)


class Interruption:
    """Remember a signal instead of dying from it. A second SIGINT acts at once, for a user who cannot wait."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over; outside the main thread, where Python forbids it, they stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._remember)

    def stop_listening(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells count: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.received or 0)
