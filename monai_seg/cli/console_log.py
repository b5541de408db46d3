"""What the package logs of its progress, shown on the terminal."""

from __future__ import annotations

import logging
import sys


def log_to_console() -> None:
    """Show the package's progress on stderr; Ignite's report of an exception is one too many."""
    package = logging.getLogger("monai_seg")
    package.setLevel(logging.INFO)
    package.handlers = [item for item in package.handlers if not isinstance(item, logging.StreamHandler)]
    package.addHandler(logging.StreamHandler(sys.stderr))
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
