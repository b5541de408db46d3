"""What MONAI hides from a bundle: the configuration that is running and the folder it came from.

An expression in a configuration is evaluated with its references and nothing else. The parser that evaluates it is
on the call stack, though, whoever started the bundle: ``monai.bundle run``, `create_workflow`, a test. So it is looked
up there, in this one place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def running_parser() -> ConfigParser:
    """The parser whose expression is being evaluated.

    Raises:
        RuntimeError: called from outside a configuration.
    """
    for frame in _callers():
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigParser):
            return owner
    raise RuntimeError("this function works inside a bundle's configuration only, as in: $engines.bundle_root()")


def running_configuration() -> dict[str, Any]:
    """The configuration as it runs: the file with all overrides, macros resolved, without the metadata."""
    config = running_parser().get()
    return {key: value for key, value in config.items() if key != ConfigParser.meta_key}


def bundle_root() -> str:
    """Absolute path of the bundle that is running, whatever the working directory.

    Raises:
        RuntimeError: the configuration was not read by a MONAI workflow or command, so its folder is unknown; set
            ``bundle_root`` yourself then.
    """
    for frame in _callers():
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigWorkflow):
            return _root_of(Path(owner.config_root_path))
        files = frame.f_locals.get("config_file")  # exports and verifications parse without a workflow
        if isinstance(files, (list, tuple)) and files:
            files = files[0]
        if isinstance(files, (str, Path)) and Path(files).is_file():
            return _root_of(Path(files).parent)
    raise RuntimeError("the folder of this bundle is not known here; add the key bundle_root with its path")


def remember_bundle_root() -> None:
    """Let the running parser evaluate its ``bundle_root`` now, while the workflow that knows it is on the call stack.

    Tools ask a parser for the folder later, when nothing on the stack tells it.
    """
    parser = running_parser()
    if "bundle_root" in parser:
        parser.get_parsed_content("bundle_root")


def _root_of(config_folder: Path) -> str:
    folder = config_folder.resolve()
    return str(folder.parent if folder.name == "configs" else folder)
