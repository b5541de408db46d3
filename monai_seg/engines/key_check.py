"""Refuse keys that nothing reads: `--learning_rte 0.5` must not train in silence at the old rate."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pydoc import locate
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver
from monai.utils import BundlePropertyConfig

from monai_seg.engines.configuration import running_configuration

SEPARATOR = ReferenceResolver.sep
_RUN_IDS = ("imports", "initialize", "run", "finalize", "training", "evaluating", "explaining", "inferring")
_PROPERTY_IDS = tuple(item[BundlePropertyConfig.ID] for item in (*TrainProperties.values(), *InferProperties.values()))


class UnknownKeyError(ValueError):
    """A key of the configuration, or an override of it, that nothing reads."""


def check_keys() -> None:
    """Raise if the running configuration holds a key that nothing reads, and name the nearest known one.

    A key counts as read when it is referred to (``@key``), is one of MONAI's bundle properties or run ids, or is an
    argument of its component. So a bundle needs no list of its keys, and may be changed freely.

    Raises:
        UnknownKeyError: lists every such key.
    """
    unknown = list(unknown_keys(running_configuration()))
    if unknown:
        raise UnknownKeyError("\n".join(unknown))


def unknown_keys(config: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each key of a configuration that nothing reads."""
    read = set(_references(config)) | set(_PROPERTY_IDS) | set(_RUN_IDS)
    yield from _unread_in(config, "", read)
    for key_id, component in _components(config, ""):
        yield from _unknown_arguments(component, key_id)


def _references(config: Any) -> Iterator[str]:
    """Ids that the configuration's expressions and references name, in MONAI's ``a::b`` form."""
    if isinstance(config, dict):
        for value in config.values():
            yield from _references(value)
    elif isinstance(config, list):
        for value in config:
            yield from _references(value)
    elif isinstance(config, str):
        yield from ReferenceResolver.match_refs_pattern(config)


def _unread_in(config: dict[str, Any], parent: str, read: set[str]) -> Iterator[str]:
    for key, value in config.items():
        key_id = f"{parent}{SEPARATOR}{key}" if parent else str(key)
        used_as_whole = key_id in read
        used_in_part = any(other.startswith(key_id + SEPARATOR) for other in read)
        if not used_as_whole and not used_in_part:
            yield _message(key_id, str(key), [str(other) for other in config if _is_read(str(other), parent, read)])
        if isinstance(value, dict) and not used_as_whole and not ConfigComponent.is_instantiable(value):
            yield from _unread_in(value, key_id, read)


def _is_read(key: str, parent: str, read: set[str]) -> bool:
    key_id = f"{parent}{SEPARATOR}{key}" if parent else str(key)
    return any(other == key_id or other.startswith(key_id + SEPARATOR) for other in read)


def _components(config: Any, parent: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dictionary with a ``_target_``, however deep, with its id."""
    if ConfigComponent.is_instantiable(config):
        yield parent, config
    if isinstance(config, (dict, list)):
        for key, value in config.items() if isinstance(config, dict) else enumerate(config):
            yield from _components(value, f"{parent}{SEPARATOR}{key}" if parent else str(key))


def _unknown_arguments(component: dict[str, Any], key_id: str) -> Iterator[str]:
    """Arguments that the ``_target_`` does not take."""
    function = _locate(component)
    if function is None:
        return
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):  # some C functions have no signature to look at
        return
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [*parameters, *ConfigComponent.non_arg_keys]
    for argument in component:
        if argument not in known:
            yield _message(f"{key_id}{SEPARATOR}{argument}", argument, known, of=str(component["_target_"]))


def _locate(component: dict[str, Any]) -> Any:
    if str(component["_target_"]).startswith("$"):
        return None
    return locate(ConfigComponent(component, locator=_locator()).resolve_module_name())


@lru_cache(maxsize=1)
def _locator() -> ComponentLocator:
    return ComponentLocator()  # walks all of MONAI once


def _message(key_id: str, key: str, known: list[str], of: str = "") -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    shown = key_id.replace(SEPARATOR, "#")
    hint = f": did you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(sorted(known))}"
    return f"unknown key {shown!r}{f' of {of}' if of else ''}{hint}"
