"""Found objects as files: COCO files of all images, and a label map and a picture of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils.enums import CommonKeys as Keys
from PIL import Image

from monai_seg.data.atomic import atomic_path, write_text_atomic
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.detection import score_threshold_of
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.instance_panel import instance_panel
from monai_seg.inference.coco_content import CocoImage, coco_content, coco_image, found_data_set, placed_masks
from monai_seg.inference.label_map_file import prediction_name, write_label_map
from monai_seg.inference.placed_masks import PlacedMask, instance_map
from monai_seg.inference.prediction_files import refuse_collisions
from monai_seg.inference.sliding_detection import PLACED, full_masks
from monai_seg.transforms.restore_instances import size_as_read

FOUND_FILE, RESULTS_FILE = "objects.json", "results.json"
_LARGEST_PICTURE = 1024  # of larger images every second, third ... pixel is drawn


class InstanceFiles:
    """Write what a detector finds in an evaluation, in the geometry of the files.

    - ``objects.json``: a COCO data set of what was found, from the score threshold on, but for masks without a pixel.
      Beside its images it is a data set again: to be corrected by hand, and trained on. Volumes have none.
    - ``results.json``, where objects are annotated: a COCO data set of these, with all found ones as ``results``,
      whatever their score; pycocotools computes the evaluation's average precision from this file alone.
    - a label map of each image, under its name: 1 is the best object, 2 the next one; the better one is seen where two
      overlap. Networks without masks have none.
    - a picture of each of the first images, see `instance_panel`.

    Predictions are on the grid of the files: the postprocessing has inverted what changed it.

    Args:
        run_folder: its ``predictions`` take COCO file and label maps, its ``figures`` the pictures.
        output_dir: folder of all of them, where there is no run folder; pictures go to ``figures`` in it.
        figure_count: number of images to draw.
        class_names: index 0 first.
        score_threshold: of objects in data set, label maps and pictures; None: the ``score_threshold`` that the network
            keeps.

    Raises:
        ValueError: neither a run folder nor an output folder is given, or both are.
        NameCollisionError: while it runs: two inputs would get the same label map.
    """

    def __init__(
        self,
        run_folder: RunFolder | None = None,
        output_dir: str | Path | None = None,
        figure_count: int = 12,
        class_names: Sequence[str] = (),
        score_threshold: float | None = None,
    ) -> None:
        if (run_folder is None) == (output_dir is None):
            raise ValueError("give either run_folder or output_dir")
        self.run_folder, self.output_dir = run_folder, Path(output_dir or "")
        self.figure_count, self.class_names, self.score_threshold = figure_count, list(class_names), score_threshold
        self._apart: dict[str, str] = {}
        self._images: dict[str, CocoImage] = {}
        self._drawn = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is a list with ``image`` and ``pred`` of each image."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write_content)

    @property
    def _folder(self) -> Path:
        return self.output_dir if self.run_folder is None else self.run_folder.predictions

    @property
    def _figures(self) -> Path:
        return self.output_dir / "figures" if self.run_folder is None else self.run_folder.figures

    def _start(self, engine: Any) -> None:
        files = [first_image(record) for record in engine.data_loader.dataset.data]
        self._apart = folders_apart(files, prediction_name)
        refuse_collisions(files, self._apart)
        self._images.clear()
        self._drawn = 0

    def _write(self, engine: Any) -> None:
        threshold = self._threshold(engine)
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            file, found = case_files([sample])[0], output[Keys.PRED]
            reference = sample if "mask" in sample else None
            size = _size(output[Keys.IMAGE], found, reference)
            name = Path(self._apart[file], Path(file).name).as_posix()
            self._images[file] = coco_image(name, size, reference, found)
            masks = placed_masks(confident(found, threshold))
            if masks is not None:
                write_label_map(instance_map(masks, size), file, self._folder / self._apart[file])
            if self._drawn < self.figure_count:
                self._drawn += 1
                picture = _picture(output[Keys.IMAGE], reference, found, size, self.class_names, threshold)
                with atomic_path(self._figures / self._apart[file] / f"{stem(file)}.png") as temporary:
                    Image.fromarray(picture).save(temporary)

    def _threshold(self, engine: Any) -> float:
        return float(score_threshold_of(engine.network)) if self.score_threshold is None else self.score_threshold

    def _write_content(self, engine: Any) -> None:
        # A sampler that pads its ranks to one length gives some images twice; each counts once.
        gathered = {file: image for part in from_all_ranks(self._images) for file, image in part.items()}
        if rank() != 0:
            return
        images = [gathered[file] for file in sorted(gathered)]
        contents = {}
        if all(len(image.size) == 2 for image in images):
            contents[FOUND_FILE] = found_data_set(images, self.class_names, self._threshold(engine))
        if all(image.annotations is not None for image in images):
            contents[RESULTS_FILE] = coco_content(images, self.class_names)
        for name, content in contents.items():
            write_text_atomic(self._folder / name, json.dumps(content) + "\n")


def confident(found: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """The objects with at least this score, the best first."""
    scores = torch.as_tensor(found["label_scores"])
    order = torch.argsort(scores, descending=True, stable=True)
    kept = order[scores[order] >= threshold]
    return {
        name: [values[index] for index in kept.tolist()] if isinstance(values, list) else values[kept]
        for name, values in found.items()
    }


def _size(image: Any, found: Mapping[str, Any], reference: Mapping[str, Any] | None) -> tuple[int, ...]:
    """Of the file: its masks have it, where there are any."""
    known = found.get("mask", None if reference is None else reference["mask"])
    if known is not None:
        return tuple(int(length) for length in known.shape[1:])
    return size_as_read(image) if isinstance(image, MetaTensor) else tuple(image.shape[1:])


def _picture(
    image: torch.Tensor,
    reference: Mapping[str, Any] | None,
    found: Mapping[str, Any],
    size: tuple[int, ...],
    class_names: Sequence[str],
    threshold: float,
) -> np.ndarray:
    step = -(-max(size) // _LARGEST_PICTURE)
    small = tuple(-(-length // step) for length in size)
    plain = image.as_tensor() if hasattr(image, "as_tensor") else image
    if tuple(plain.shape[1:]) != small:
        mode = "bilinear" if len(size) == 2 else "trilinear"
        plain = torch.nn.functional.interpolate(plain[None].float(), size=small, mode=mode, antialias=len(size) == 2)[0]
    spacing = None
    if len(size) == 3 and isinstance(image, MetaTensor):
        affine = torch.as_tensor(image.meta.get("original_affine", image.affine))
        spacing = tuple(affine[:3, :3].norm(dim=0).tolist())
    drawn = [None if each is None else _thinned(each, step, small) for each in (reference, confident(found, threshold))]
    return instance_panel(plain, drawn[0], drawn[1] or {}, class_names, threshold, spacing)


def _thinned(objects: Mapping[str, Any], step: int, small: tuple[int, ...]) -> dict[str, Any]:
    """Objects of an image of which every ``step``-th pixel is drawn."""
    thin = {name: objects[name] for name in ("label", "label_scores", "crowd") if name in objects}
    if "box" in objects:
        thin["box"] = torch.as_tensor(objects["box"]).cpu() / step
    if PLACED in objects:
        masks: list[PlacedMask] = [mask.thinned(step) for mask in objects[PLACED]]
        return thin | {"mask": full_masks(masks, small)}
    if "mask" in objects:
        thin["mask"] = torch.as_tensor(objects["mask"])[(slice(None),) + (slice(None, None, step),) * len(small)]
    return thin
