"""What the tests of the commands share: each leaves the process as it found it."""

from __future__ import annotations

import logging
import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch):
    """A bundle run adds its folder to the search path and sets an exception hook; the command adds a log handler."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    loggers = [(logging.getLogger(name), logging.getLogger(name).level) for name in ("monai_seg", "ignite")]
    handlers, threads = list(loggers[0][0].handlers), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    loggers[0][0].handlers = handlers
    for logger, level in loggers:
        logger.setLevel(level)
