"""A bar on the terminal for what takes more than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_QUIET_S = 2.0  # what is shorter shows no progress
Item = TypeVar("Item")


def watched(items: Iterable[Item], total: int, progress: bool, task: str = "reading") -> Iterator[Item]:
    """Pass items on, and show a bar on stderr once they take more than two seconds.

    Args:
        items: what is worked through.
        total: how many there are.
        progress: whether to show anything.
        task: what is being done, in one word.
    """
    if not progress:
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    start, bars, bar = time.monotonic(), Progress(console=Console(stderr=True), transient=True), None
    try:
        for count, item in enumerate(items):
            if bar is not None:
                bars.update(bar, completed=count)
            elif time.monotonic() - start > _QUIET_S:  # not before: where nothing is shown, nothing is written
                bars.start()
                bar = bars.add_task(task, total=total, completed=count)
            yield item
    finally:
        if bar is not None:
            bars.stop()
