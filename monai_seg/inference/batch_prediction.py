"""Predict files, folders and scenes with one bundle: a bad file is reported and costs no other its prediction."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_seg.data.layouts.files import stem
from monai_seg.inference.bundle_workflow import BundleError, BundleWorkflow
from monai_seg.inference.class_table import FILE as CLASS_FILE
from monai_seg.inference.input_check import SCENE_PIXELS, InputCheck, InputError, Task, records_of
from monai_seg.inference.instance_files import FOUND_FILE
from monai_seg.inference.scene import open_scene
from monai_seg.inference.scene_prediction import SceneOutputs
from monai_seg.inference.tile_preprocessing import NotStreamableError, TilePreprocessing

_TOLD_EVERY_S = 2.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Args:
        file: the input.
        state: ``"done"``, ``"exists"`` (skipped, its prediction was there) or ``"failed"``.
        text: the prediction, or what is wrong.
    """

    file: str
    state: str
    text: str


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict.

    Args:
        runs: folders of the runs whose best models predict together; none: the bundle's own or newest.
        test_time_augmentation: average over the symmetries of the grid.
        threshold: probability to take instead of the bundle's.
        overwrite: replace predictions that are there; otherwise their inputs are skipped.
        probabilities, polygons: write these too; pictures are all streamed then.
        scene_pixels: pictures of more pixels are streamed.
        amp: instead of the bundle's, see `BundleWorkflow`.
    """

    runs: Sequence[Path] = ()
    test_time_augmentation: bool = False
    threshold: float | None = None
    overwrite: bool = False
    probabilities: bool = False
    polygons: bool = False
    scene_pixels: int = SCENE_PIXELS
    amp: bool | None = None


@dataclass
class BatchPrediction:
    """One call of the command ``monai-seg predict``; `outcomes` is also there where it is interrupted.

    Args:
        bundle: folder of a bundle.
        output_dir: folder of the predictions.
        options: how to predict.
        is_data: the bundle is data alone, see `BundleWorkflow`.
    """

    bundle: Path
    output_dir: Path
    options: PredictionOptions = field(default_factory=PredictionOptions)
    is_data: bool = field(default=False, kw_only=True)
    outcomes: list[Outcome] = field(default_factory=list)
    _gives: str = field(default="image", init=False)
    _overlapping_classes: tuple[str, ...] = field(default=(), init=False)

    def run(self, inputs: Sequence[str | Path]) -> None:
        """Predict the images of files, folders and data sets.

        Raises:
            BundleError, CheckpointError, RunFolderError, NotStreamableError, ClassMaskError: nothing can be predicted.
            MissingPackageError: polygons are asked for and rasterio is not installed.
        """
        if self.options.polygons:
            from monai_seg.inference.polygons import require_rasterio

            require_rasterio()
        workflow = self._workflow()
        self._gives, self._overlapping_classes = workflow.gives, workflow.overlapping_classes
        self._refuse_impossible()
        tasks = self._tasks(workflow, inputs)
        self._predict_scenes(workflow, [task for task in tasks if task.is_scene])
        del workflow
        self._predict_ordinary([task for task in tasks if not task.is_scene])

    def _workflow(self, dataset_dir: Path | None = None, output_dir: Path | None = None) -> BundleWorkflow:
        given = self.options
        return BundleWorkflow(
            self.bundle,
            given.runs,
            given.test_time_augmentation,
            given.threshold,
            dataset_dir,
            output_dir,
            self.is_data,
            given.amp,
        )

    def _refuse_impossible(self) -> None:
        if self._gives != "image" and (self.options.probabilities or self.options.polygons):
            raise BundleError(
                f"{self.bundle} gives {self._gives}, no label maps\n  mend   leave out --probabilities and --polygons"
            )

    @property
    def _table(self) -> Path | None:
        """The file that holds what is said of all inputs together."""
        names = {"object": FOUND_FILE, "probabilities": CLASS_FILE}
        return self.output_dir / names[self._gives] if self._gives in names else None

    def _tasks(self, workflow: BundleWorkflow, inputs: Sequence[str | Path]) -> list[Task]:
        """The sound inputs; the others are outcomes already."""
        check = InputCheck(
            workflow.spatial_dims,
            workflow.in_channels,
            self.output_dir,
            _streamable(workflow),
            -1 if self.options.probabilities or self.options.polygons else self.options.scene_pixels,
            workflow.reads_rgb,
        )
        taken: dict[Path, Task] = {}  # by every file that they write
        tasks = []
        told, found = time.monotonic(), list(records_of(inputs))
        sources = {Path(file).resolve() for file, _ in found}
        for number, (file, record) in enumerate(found):
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                logger.info("%d inputs checked", number)
            try:
                if isinstance(record, InputError):
                    raise record
                task = check.task(record)
                outputs = self._outputs(task).files if self._gives != "probabilities" else []
                for path in outputs:
                    if path in taken:
                        raise InputError(f"it would get the same prediction as {taken[path].file}; rename one")
                    if path.resolve() in sources:
                        raise InputError(f"its prediction would replace the input {path}; name another folder")
            except InputError as error:
                self._note(file, "failed", str(error))
                continue
            outputs = [self._table] if self._table else outputs
            there = next((path for path in outputs if path.exists()), None)
            if there and not self.options.overwrite:
                missing = next((f", {path} is not" for path in outputs if not path.exists()), "")
                self._note(file, "exists", f"{there} is there{missing}; --overwrite replaces it")
            else:
                taken |= dict.fromkeys(outputs if self._table is None else self._outputs(task).files, task)
                tasks.append(task)
        return tasks

    def _outputs(self, task: Task) -> SceneOutputs:
        """The files that a task writes."""
        name, given = stem(task.file), self.options
        return SceneOutputs(
            task.output,
            self.output_dir / f"{name}_probabilities.tif" if given.probabilities else None,
            self.output_dir / f"{name}.geojson" if given.polygons else None,
            self._overlapping_classes,
        )

    def _predict_scenes(self, workflow: BundleWorkflow, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        predictor, preprocessing = workflow.scene_predictor(), workflow.tile_preprocessing()
        for task in tasks:
            try:
                with open_scene(task.file, workflow.reads_rgb) as scene:
                    predictor.predict(scene, preprocessing.for_scene(scene), self._outputs(task))
            except Exception as error:  # whatever a file does, it costs no other file
                self._note(task.file, "failed", reason_of(error))
            else:
                self._done(task)

    def _predict_ordinary(self, tasks: Sequence[Task]) -> None:
        """Through the bundle's workflow; where a file breaks it, the others go through a new one."""
        left = {task.file: task for task in tasks}
        while left:
            waiting = dict(left)
            try:
                self._run_workflow(list(waiting.values()), self._finisher(waiting))
            except Exception as error:  # whatever a file does, it costs no other file
                # Without any that waits, it is the table that could not be written, with all that was to be in it.
                for file in list(waiting)[:1] or list(left if self._table else ()):
                    self._note(file, "failed", reason_of(error))
                    waiting.pop(file, None)
                    left.pop(file)
                if self._table is None:  # what is written stays; a table is begun anew
                    left = waiting
            else:
                for file in waiting:
                    self._note(file, "failed", "the bundle's workflow wrote no prediction of it")
                if self._table is not None:
                    for file in left.keys() - waiting.keys():
                        self._done(left[file])
                return

    def _run_workflow(self, tasks: Sequence[Task], told: Callable[[str], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            datalist = Path(folder) / "inputs.json"
            datalist.write_text(json.dumps({"test": [task.record for task in tasks]}))
            self._workflow(dataset_dir=datalist, output_dir=self.output_dir).run(told)

    def _finisher(self, waiting: dict[str, Task]) -> Callable[[str], None]:
        def told(file: str) -> None:
            task = waiting.pop(str(file), None)
            if task is not None and self._table is None:
                self._done(task)

        return told

    def _done(self, task: Task) -> None:
        written = [self._table] if self._table else self._outputs(task).label_maps
        self._note(task.file, "done", ", ".join(map(str, written)))

    def _note(self, file: str, state: str, text: str) -> None:
        self.outcomes.append(Outcome(file, state, text))


def _streamable(workflow: BundleWorkflow) -> TilePreprocessing | NotStreamableError:
    if workflow.gives != "image":
        return NotStreamableError(f"the bundle gives {workflow.gives}, no label maps")
    try:
        workflow.scene_predictor()
        return workflow.tile_preprocessing()
    except NotStreamableError as error:
        return error


def reason_of(error: Exception) -> str:
    """What an error says at the bottom, in the words of this project where they are: MONAI wraps errors in errors."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        if type(cause).__module__.startswith("monai_seg."):
            break
        cause = cause.__cause__ or cause.__context__ or cause
    text: Any = str(cause).strip() or type(cause).__name__
    is_own = type(cause).__module__.startswith("monai_seg.")
    return text.replace("{kind}", "image") if is_own else f"{type(cause).__name__}: {text}"
