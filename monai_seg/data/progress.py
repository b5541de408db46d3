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

    start = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(task, total=total, visible=False)
        for item in items:
            bars.update(bar, advance=1, visible=time.monotonic() - start > _QUIET_S)
            yield item
