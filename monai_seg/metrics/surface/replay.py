"""An iteration that several passes can take: remembered where it is small, made anew where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Replay(Generic[Item]):
    """Iterate over what ``make`` yields, again and again.

    Args:
        make: begins the iteration.
        size: of an item.
        limit: items are kept for the next pass while their sizes sum to at most this.
    """

    def __init__(self, make: Callable[[], Iterator[Item]], size: Callable[[Item], int], limit: int) -> None:
        self.make, self.size, self.limit = make, size, limit
        self._kept: list[Item] | None = None

    def __iter__(self) -> Iterator[Item]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Item] = []
        total = 0
        for item in self.make():
            total += self.size(item)
            if total <= self.limit:
                kept.append(item)
            else:
                kept.clear()
            yield item
        if total <= self.limit:
            self._kept = kept
