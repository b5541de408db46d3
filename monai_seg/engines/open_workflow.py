"""A bundle's workflow in this process, without what MONAI remarks on every one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from monai.bundle import ConfigWorkflow, create_workflow


def workflow_of(
    configurations: Sequence[Path],
    kind: Literal["train", "infer"],
    run_id: str,
    metadata: Path | None = None,
    **overrides: Any,
) -> ConfigWorkflow:
    """Open a workflow and run its ``initialize``. The bundle's ``logging.conf``, which could run code, is not read.

    Args:
        configurations: files, a later one over an earlier one. They are code: only those that may run.
        kind: of MONAI's properties that it has.
        run_id: what its `run` runs.
        metadata: by default the ``metadata.json`` beside the first configuration.
        overrides: values by id, as ``{"network_def#features": [...]}``.
    """
    with warnings.catch_warnings(), _without_remarks():
        warnings.filterwarnings("ignore", message="parsing config_file")  # a configuration is code
        return create_workflow(
            config_file=[str(path) for path in configurations],
            meta_file=None if metadata is None else str(metadata),
            workflow_type=kind,
            run_id=run_id,
            logging_file=False,
            **overrides,
        )


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Without MONAI's warning that the workflow has no logging file, and its list of all arguments."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
