"""Found objects as files: one COCO file, a label map and a picture of each image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys as Keys
from PIL import Image

from monai_seg.data.annotations.drawing import encode
from monai_seg.data.atomic import atomic_path, write_text_atomic
from monai_seg.data.layouts.files import folders_apart, stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.detection import score_threshold_of
from monai_seg.engines.distribution import from_all_ranks, rank
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.detection_review import picture_of
from monai_seg.inference.label_map_file import prediction_name, write_label_map
from monai_seg.inference.prediction_files import refuse_collisions
from monai_seg.transforms.restore_instances import size_as_read

COCO_FILE = "objects.json"


class ObjectFiles:
    """Write the objects that a `DetectionEvaluator` finds, from the network's score threshold on.

    - ``objects.json``, in COCO's form: images, categories and found objects with run-length code, box and score. What
      reads COCO data sets reads it, `monai-seg check` among them. Objects of volumes are in the label maps alone.
    - a label map of each image, under its name: 1 is the best object, 2 the next one; where two overlap, the better one
      is seen.
    - a picture of each of the first images, with what is annotated beside what was found.

    Args:
        run_folder: its ``predictions`` take COCO file and label maps, its ``figures`` the pictures.
        output_dir: folder of all of them, where there is no run folder; pictures go to ``figures`` in it.
        figure_count: number of images to draw.
        class_names: index 0 first.

    Raises:
        ValueError: neither a run folder nor an output folder is given, or both are.
        NameCollisionError: two inputs would get the same label map.
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
        self.run_folder, self.output_dir = run_folder, Path(output_dir or "")
        self.figure_count, self.class_names = figure_count, list(class_names)
        self._apart: dict[str, str] = {}
        self._listed: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = []
        self._drawn = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write_list)

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
        self._listed.clear()
        self._drawn = 0

    def _write(self, engine: Any) -> None:
        threshold = float(score_threshold_of(engine.network))
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            file = case_files([sample])[0]
            found = confident(output[Keys.PRED], threshold)
            if "mask" in found:
                write_label_map(instance_map(found["mask"]), file, self._folder / self._apart[file])
            self._listed.append((file, *self._as_coco(file, found, output[Keys.IMAGE])))
            if self._drawn < self.figure_count:
                self._drawn += 1
                path = self._figures / self._apart[file] / f"{stem(file)}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as temporary:
                    Image.fromarray(picture_of(sample, output, self.class_names, threshold)).save(temporary)

    def _as_coco(self, file: str, found: Mapping[str, torch.Tensor], image: Any) -> tuple[dict, list[dict]]:
        size = size_as_read(image)
        if len(size) != 2:
            return {}, []
        name = Path(self._apart[file], Path(file).name).as_posix()
        objects = []
        for number in range(len(found["label"])):
            top, left, bottom, right = (float(edge) for edge in found["box"][number])
            entry: dict[str, Any] = {
                "category_id": int(found["label"][number]) + 1,
                "bbox": [left, top, right - left, bottom - top],
                "score": float(found["label_scores"][number]),
                "iscrowd": 0,
            }
            if "mask" in found:
                mask = np.asarray(torch.as_tensor(found["mask"][number]).cpu())
                entry |= {"segmentation": encode(mask), "area": int((mask != 0).sum())}
            objects.append(entry)
        return {"file_name": name, "height": size[0], "width": size[1]}, objects

    def _write_list(self) -> None:
        gathered = {file: (image, objects) for part in from_all_ranks(self._listed) for file, image, objects in part}
        if rank() != 0 or not any(image for image, _ in gathered.values()):
            return
        write_text_atomic(self._folder / COCO_FILE, json.dumps(coco_content(gathered, self.class_names)) + "\n")


def coco_content(images: Mapping[str, tuple[dict, list[dict]]], class_names: Sequence[str]) -> dict[str, Any]:
    """A COCO data set of images and their objects, in the order of the names of their files.

    Args:
        images: entry and objects of each image file.
        class_names: categories 1, 2 ...
    """
    content: dict[str, Any] = {
        "info": {"description": "objects found by a detector of monai-seg"},
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)],
    }
    for number, (_, (image, objects)) in enumerate(sorted(images.items()), start=1):
        content["images"].append({"id": number, **image})
        for entry in objects:
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": number, **entry})
    return content


def confident(found: Mapping[str, torch.Tensor], threshold: float) -> dict[str, torch.Tensor]:
    """The objects with at least this score, the best first."""
    order = torch.argsort(found["label_scores"], descending=True, stable=True)
    kept = order[found["label_scores"][order] >= threshold]
    return {name: values[kept] for name, values in found.items()}


def instance_map(mask: torch.Tensor) -> np.ndarray:
    """Masks ``(N, ...)``, the best first, as one map ``(...)`` of 1 to N; the better one is seen where two overlap."""
    values = np.asarray(torch.as_tensor(mask).cpu()) != 0
    result = np.zeros(values.shape[1:], np.uint16)
    for number in range(len(values), 0, -1):
        result[values[number - 1]] = number
    return result
