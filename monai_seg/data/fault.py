"""One finding about a data set, in the words and the layout in which users see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What is wrong, where, and how to mend it.

    Args:
        case: name of the case; empty where the whole data set is meant.
        problem: what is wrong, in one line without a full stop.
        facts: lines of "kind, file, value" parted by two spaces, as `fact` writes them.
        mend: what to do about it.

    Example:
        >>> print(Fault("a", "the image is unreadable", (fact("image", "images/a.png", "12 bytes"),), "copy it again"))
        case a: the image is unreadable
          image  images/a.png  12 bytes
          mend   copy it again
    """

    case: str
    problem: str
    facts: tuple[str, ...] = ()
    mend: str = ""

    def __str__(self) -> str:
        lines = [line.partition("  ")[::2] for line in self.facts]
        if self.mend:
            lines.append(("mend", self.mend))
        width = max((len(kind) for kind, _ in lines), default=0)
        head = f"case {self.case}: {self.problem}" if self.case else self.problem
        return "\n".join([head, *(f"  {kind:<{width}}  {text}" for kind, text in lines)])


class DataError(ValueError):
    """The data cannot be used as they are; the text lists every fault.

    Args:
        faults: all that was found.
        where: the data set, as the user named it.
    """

    def __init__(self, faults: Sequence[Fault], where: str = "the data"):
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n\n".join([f"{count} in {where}", *map(str, self.faults)]))


def fact(kind: str, file: str, value: str = "") -> str:
    """Write one line of evidence: what is looked at, where it lies, what was seen."""
    return "  ".join(part for part in (kind, file, value) if part)


def enumerate_briefly(items: Sequence[object], limit: int = 8) -> str:
    """Join the first items with commas and count the rest."""
    shown = ", ".join(map(str, items[:limit]))
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
