"""A recipe for people, with expressions and references, as data alone: the same components with plain arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pydoc import locate
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser

from monai_seg.sharing.audit.registry import COMPONENTS, KEPT_REFERENCES, READERS
from monai_seg.sharing.export.errors import ExportError

_OWN_KEYS = ("_target_", "_disabled_", "_desc_", "_requires_", "_mode_")
_GONE = object()


def plain_items(parser: ConfigParser, ids: Sequence[str]) -> dict[str, Any]:
    """Items of a configuration without expressions and references.

    Disabled components are left out. Components bear the names of `COMPONENTS`; arguments that stand in no
    configuration keep their defaults.

    Args:
        parser: of the bundle that is ready to run.
        ids: top-level items to take, where the configuration has them.

    Returns:
        What JSON takes.

    Raises:
        ExportError: an item is no component that data alone may name, or a value that is no plain one.
    """
    return {key: _plain(parser, parser[key], key) for key in ids if key in parser}


def _plain(parser: ConfigParser, content: Any, place: str) -> Any:
    if isinstance(content, dict) and "_target_" in content:
        return _component(parser, content, place)
    if isinstance(content, dict):
        return {str(key): _plain(parser, value, f"{place}#{key}") for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        items = [_plain(parser, value, f"{place}#{index}") for index, value in enumerate(content)]
        return [item for item in items if item is not _GONE]
    text = content.strip() if isinstance(content, str) else ""
    if text in KEPT_REFERENCES:
        return text
    if text.startswith("@"):
        other = text[1:].replace("::", "#")
        return _plain(parser, parser[other], other)
    if text.startswith("$"):
        return _value(parser.get_parsed_content(place), place)
    return _value(content, place)


def _component(parser: ConfigParser, content: dict[str, Any], place: str) -> Any:
    if "_disabled_" in content and _plain(parser, content["_disabled_"], f"{place}#_disabled_"):
        return _GONE
    arguments = {key: _plain(parser, value, f"{place}#{key}") for key, value in content.items() if key not in _OWN_KEYS}
    return {"_target_": _public_name(content["_target_"], place), **arguments}


def _value(value: Any, place: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_value(item, place) for item in value]
    if isinstance(value, dict):
        return {str(key): _value(item, place) for key, item in value.items()}
    for name in READERS:
        if value is locate(name if "." in name else f"monai.data.{name}"):
            return name
    raise ExportError(
        f"{place} is {type(value).__name__} {str(value)[:80]}, which data alone cannot say\n"
        "  mend   give it by plain numbers, text and lists, or export --form portable"
    )


def _public_name(target: Any, place: str) -> str:
    resolved = ConfigComponent({"_target_": target}, locator=_locator()).resolve_module_name()
    found = locate(resolved) if isinstance(resolved, str) else resolved
    for name in COMPONENTS:
        if name.rpartition(".")[2] == getattr(found, "__name__", "") and locate(name) is found:
            return name
    raise ExportError(
        f"{place} is {target}, which is no component that data alone may name\n"
        "  mend   take one of those of monai_seg.sharing.audit.registry, or add it there if it runs nothing"
    )


@lru_cache(maxsize=1)
def _locator() -> ComponentLocator:
    return ComponentLocator()  # walks all of MONAI once
