"""Names of a room that load their file on first use (PEP 562), so that starting up stays fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(room: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """What ``__getattr__`` and ``__dir__`` of a room are.

    Args:
        room: ``__name__`` of the package.
        homes: in which module of it each public name is.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{homes[name]}"), name)

    return load, lambda: sorted(homes)
