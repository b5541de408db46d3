"""Predictions as files: label maps or masks in the geometry of their inputs, and pictures of the first cases."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys as Keys
from PIL import Image

from monai_seg.data.atomic import atomic_path
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.distribution import rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.panel import case_panel
from monai_seg.inference.label_map_file import ClassMaskError, mask_folders, prediction_name, write_label_map

_QUIET_S = 2.0  # shorter evaluations report no progress
logger = logging.getLogger(__name__)


class NameCollisionError(ValueError):
    """Two inputs in one folder differ in their extension alone, so that one prediction would replace the other."""


class PredictionFiles:
    """Write the predicted label map of each case of an evaluation, under the name of its input.

    Where inputs of several folders share a name, all predictions lie in folders as their inputs do.

    A prediction of several channels is masks of classes that may overlap: each goes to a folder of its class, as in
    ``predictions/building/NAME.png``. The inputs' grids are those of the predictions already: the postprocessing has
    inverted what changed them.

    Args:
        run_folder: its ``predictions`` take the label maps, and its ``figures`` pictures of reference, prediction and
            errors.
        output_dir: folder of the label maps where there is no run folder; nothing is drawn then.
        figure_count: number of cases to draw.
        class_names: of labels 1, 2 ..., for the pictures' legend; or of the masks.

    Raises:
        ValueError: neither a run folder nor an output folder is given, or both are.
        ClassMaskError: while it runs: a prediction has several channels that are no masks of the named classes.
    """

    def __init__(
        self,
        run_folder: RunFolder | None = None,
        output_dir: str | Path | None = None,
        figure_count: int = 12,
        class_names: Sequence[str] = (),
    ) -> None:
        if (run_folder is None) == (output_dir is None):
            raise ValueError("give either run_folder or output_dir")
        self.run_folder, self.figure_count, self.class_names = run_folder, figure_count, list(class_names)
        self.output_dir = Path(output_dir or "")
        self._apart: dict[str, str] = {}
        self._drawn = 0
        self._told_at = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._tell)

    def _start(self, engine: Any) -> None:
        files = [first_image(record) for record in engine.data_loader.dataset.data]
        self._apart = folders_apart(files, prediction_name)
        refuse_collisions(files, self._apart)
        self._told_at = time.monotonic()

    def _write(self, engine: Any) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            file = case_files([sample])[0]
            prediction = output[Keys.PRED]
            folder = self.output_dir if self.run_folder is None else self.run_folder.predictions
            maps = np.asarray(prediction.cpu())
            for label_map, place in zip(maps, self._places(maps, file, folder), strict=True):
                write_label_map(label_map, file, place / self._apart[file])
            if self.run_folder is not None and self._drawn < self.figure_count:
                self._drawn += 1
                self._draw(output, self.run_folder.figures / self._apart[file] / f"{stem(file)}.png")

    def _places(self, maps: np.ndarray, file: str, folder: Path) -> list[Path]:
        """The folder of each channel of a prediction."""
        if len(maps) == 1:
            return [folder]
        if len(maps) != len(self.class_names):
            raise ClassMaskError(
                f"the prediction of {file} has {len(maps)} channels, class_names names {len(self.class_names)}\n"
                "  mend   give PredictionFiles one name for each mask, or let AsDiscreted make one label map by argmax"
            )
        if not ((maps == 0) | (maps == 1)).all():
            raise ClassMaskError(
                f"the prediction of {file} has {len(maps)} channels from {maps.min():g} to {maps.max():g}, no masks\n"
                "  mend   end the postprocessing with AsDiscreted and a threshold"
            )
        return mask_folders(folder, self.class_names)

    def _tell(self, engine: Any) -> None:
        """Say every few seconds how far it is; a short evaluation says nothing."""
        if rank() == 0 and time.monotonic() - self._told_at > _QUIET_S:
            self._told_at = time.monotonic()
            logger.info("%d of %d cases", engine.state.iteration, engine.state.epoch_length)

    def _draw(self, output: dict, path: Path) -> None:
        reference = output[Keys.LABEL]
        spacing = tuple(float(size) for size in reference.pixdim[: reference.ndim - 1])
        picture = case_panel(output[Keys.IMAGE], reference, output[Keys.PRED], spacing, self.class_names)
        with atomic_path(path) as temporary:
            Image.fromarray(picture).save(temporary)


def refuse_collisions(files: Sequence[str], apart: Mapping[str, str]) -> None:
    """Refuse inputs of which one's prediction would replace the other's.

    Args:
        files: the inputs.
        apart: folder of each one's prediction, see `folders_apart`.

    Raises:
        NameCollisionError: two predictions would be one file.
    """
    taken: dict[tuple[str, str], str] = {}
    for file in files:
        other = taken.setdefault((apart[file], prediction_name(file)), file)
        if other != file:
            raise NameCollisionError(
                f"two inputs would get the same prediction {prediction_name(file)}\n"
                f"  first   {other}\n  second  {file}\n"
                "  mend   rename one of them, or take it out"
            )
