"""What a classifier says of each file, in one table."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.utils.enums import CommonKeys as Keys

from monai_seg.data.atomic import write_text_atomic
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.trainer import case_files

logger = logging.getLogger(__name__)
FILE = "classes.csv"


class ClassTable:
    """Write ``classes.csv``: the file, its most probable class and the probability of each class, sorted by file.

    Args:
        output_dir: folder of the table, relative to the working directory.
        class_names: index 0 first.
    """

    def __init__(self, output_dir: str | Path, class_names: Sequence[str]) -> None:
        self.output_dir, self.class_names = Path(output_dir), list(class_names)
        self._found: dict[str, list[float]] = {}

    def attach(self, engine: Any) -> None:
        """Attach to an `Evaluator` whose predictions are probabilities ``(K,)`` of each case."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _begin(self) -> None:
        self._found.clear()

    def _collect(self, engine: Any) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            self._found[case_files([sample])[0]] = torch.as_tensor(output[Keys.PRED]).double().tolist()

    def _write(self) -> None:
        found = {file: shares for part in from_all_ranks(self._found) for file, shares in part.items()}
        if rank() != 0:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "class", *(f"probability_{name}" for name in self.class_names)])
        for file, shares in sorted(found.items()):
            best = self.class_names[max(range(len(shares)), key=shares.__getitem__)]
            writer.writerow([file, best, *(f"{share:.6f}" for share in shares)])
        write_text_atomic(self.output_dir / FILE, text.getvalue())
        logger.info("classes: %s", self.output_dir / FILE)
