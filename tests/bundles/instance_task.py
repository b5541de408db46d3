"""The bundle of instances as its tests know it: annotated slices, a tiny network, and how found objects are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bundle_tasks import Task, save
from pycocotools import mask as coco_mask

SLICES_OF_A_PATIENT = 2


@dataclass(frozen=True, eq=False)
class InstanceTask(Task):
    """A bundle of objects; its data set is images and one COCO file."""

    def write(self, folder: Path, count: int, seed: int = 0, shape: tuple[int, ...] = (), first: int = 0) -> Path:
        """Make a data set: bright ellipses, none to two in a slice, as polygon or code; every other slice stands.

        The first slice has a crowd too.
        """
        content: dict[str, list] = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "tumor"}]}
        for number in range(first, first + count):
            size = (shape or self.shape)[:: 1 if number % 2 else -1]
            draw = np.random.default_rng(1000 * seed + number)
            objects = [_ellipse(size, place) for place in (0.3, 0.7)][: (number + 1) % 3]
            image = 40 + draw.normal(0, 10, size) + 150 * sum(objects, np.zeros(size))
            name = Path(self.image_file.format(number // SLICES_OF_A_PATIENT, number % SLICES_OF_A_PATIENT)).name
            save(folder / "images" / name, np.clip(image, 0, 255).astype(np.uint8))
            content["images"].append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
            for mask in objects:
                content["annotations"].append(_annotation(mask, number, len(content["annotations"])))
            if number == first:
                crowd = np.zeros(size, np.uint8)
                crowd[-6:, :6] = 1
                content["annotations"].append(_annotation(crowd, number, len(content["annotations"]), is_crowd=True))
        (folder / "annotations.json").write_text(json.dumps(content))
        return folder


def _ellipse(size: Sequence[int], place: float) -> np.ndarray:
    row, column = np.indices(size)
    centre = [length * place for length in size]
    return (((row - centre[0]) / 8) ** 2 + ((column - centre[1]) / 5) ** 2 < 1).astype(np.uint8)


def _annotation(mask: np.ndarray, image_id: int, number: int, is_crowd: bool = False) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(mask))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 7,
        "iscrowd": int(is_crowd),
        "bbox": coco_mask.toBbox(code).tolist(),
        "segmentation": {"size": list(mask.shape), "counts": code["counts"].decode()},
    }


def objects_by_image(coco_file: Path) -> dict[str, list[dict[str, Any]]]:
    """Objects of each image in a COCO file, with their masks; crowds are left out."""
    content = json.loads(coco_file.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found: dict[str, list[dict[str, Any]]] = {Path(name).stem: [] for name in names.values()}
    for each in content["annotations"]:
        if not each["iscrowd"]:
            found[Path(names[each["image_id"]]).stem].append(each | {"mask": coco_mask.decode(each["segmentation"])})
    return found


def union(objects: Sequence[Mapping[str, Any]], size: Sequence[int]) -> np.ndarray:
    """All that belongs to any of the objects."""
    return np.any([each["mask"] for each in objects], axis=0) if objects else np.zeros(size, bool)


INSTANCES = InstanceTask(
    name="brain_tumor_mri_instances",
    class_names=["tumor"],
    metrics=["dice", "iou", "n_reference", "n_predicted", "matched", "missed", "false", "matched_iou"],
    label_values=(),
    image_file="images/{:02}_{}.png",
    mask_file="",
    shape=(40, 56),
    channels=1,
    training_size=(64, 64),
    intensity_limit=1.5,
    overrides={
        "image_size": 64,
        "network_def#norm": "group",  # batches of two have no statistics
        "network_def#fpn_channels": 8,
        "network_def#head_channels": 8,
        "network_def#proposals": 20,
        "network_def#rois_per_image": 8,
        "network_def#detections_per_image": 4,
        "network_def#score_thresh": 0.0,
    },
)
