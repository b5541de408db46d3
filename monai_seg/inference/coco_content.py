"""Annotated and found objects of many images as one COCO file, from which their average precision can be had again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from monai_seg.inference.placed_masks import PlacedMask
from monai_seg.inference.sliding_detection import PLACED


@dataclass
class CocoImage:
    """The objects of one image in COCO's terms, without ids.

    Args:
        name: of its file.
        size: ``(H, W)`` or ``(H, W, D)``. A volume is coded as a picture whose columns are its other two axes.
        annotations: objects of the reference; None where nothing is known.
        results: found objects, the best first.
    """

    name: str
    size: tuple[int, ...]
    annotations: list[dict[str, Any]] | None = None
    results: list[dict[str, Any]] = field(default_factory=list)


def coco_image(
    name: str, size: tuple[int, ...], reference: Mapping[str, Any] | None, prediction: Mapping[str, Any]
) -> CocoImage:
    """Encode the objects of an image.

    Args:
        name: of its file.
        size: of the image.
        reference: ``mask``, ``label`` and perhaps ``crowd``, see `LoadInstancesd`; None where nothing is known.
        prediction: ``box``, ``label``, ``label_scores`` and perhaps ``mask`` or ``placed_mask``, see
            `SlidingWindowDetectionInferer`.
    """
    annotations: list[dict[str, Any]] = []
    if reference is not None:
        crowd = reference.get("crowd", torch.zeros(len(reference["label"]), dtype=torch.bool))
        masks = placed_masks(reference) or []
        for mask, label, is_crowd in zip(masks, reference["label"].tolist(), crowd.tolist(), strict=True):
            annotations.append(_entry(label, np.concatenate(mask.box), size, mask) | {"iscrowd": int(is_crowd)})
    results = []
    found = placed_masks(prediction)
    for index in torch.argsort(prediction["label_scores"], descending=True, stable=True).tolist():
        edges = torch.as_tensor(prediction["box"][index]).cpu().double().numpy()
        entry = _entry(int(prediction["label"][index]), edges, size, None if found is None else found[index])
        results.append(entry | {"score": float(prediction["label_scores"][index])})
    return CocoImage(name, size, None if reference is None else annotations, results)


def coco_content(images: Sequence[CocoImage], class_names: Sequence[str]) -> dict[str, Any]:
    """A COCO data set of the annotated objects, with the found ones as ``results``.

    ``COCO`` of pycocotools reads the file, and its ``loadRes`` takes the list ``results``.

    Args:
        images: in the order of their ids, from 1 on.
        class_names: categories 1, 2 ...
    """
    content: dict[str, Any] = {
        "info": {"description": "annotated objects, and found ones as results; written by monai-seg"},
        "images": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)],
        "annotations": [],
        "results": [],
    }
    for number, image in enumerate(images, start=1):
        height, width = image.size[0], int(np.prod(image.size[1:]))
        entry: dict[str, Any] = {"id": number, "file_name": image.name, "height": height, "width": width}
        content["images"].append(entry if len(image.size) == 2 else entry | {"shape": list(image.size)})
        for annotation in image.annotations or ():
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": number, **annotation})
        content["results"] += [{"image_id": number, **result} for result in image.results]
    return content


def found_data_set(images: Sequence[CocoImage], class_names: Sequence[str], score_threshold: float) -> dict[str, Any]:
    """The found objects as a COCO data set of its own, to be corrected by hand and trained on.

    Args:
        images: pictures; volumes have no box in COCO's terms.
        class_names: categories 1, 2 ...
        score_threshold: of objects to take up.
    """
    found = [
        CocoImage(
            image.name,
            image.size,
            [
                {**each, "iscrowd": 0}
                for each in image.results
                # A mask without any pixel is no annotation: a data set that holds one is at fault.
                if each["score"] >= score_threshold and each.get("area", 1) > 0
            ],
        )
        for image in images
    ]
    content = coco_content(found, class_names)
    del content["results"]
    return content | {"info": {"description": "objects found by a detector; written by monai-seg"}}


def placed_masks(objects: Mapping[str, Any]) -> list[PlacedMask] | None:
    """The masks of objects, each as small as its object; None where there are only boxes."""
    if PLACED in objects:
        return list(objects[PLACED])
    if "mask" not in objects:
        return None
    return [PlacedMask.cut_out(torch.as_tensor(mask).cpu().numpy()) for mask in objects["mask"]]


def _entry(label: int, edges: np.ndarray, size: tuple[int, ...], mask: PlacedMask | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"category_id": label + 1}
    if len(size) == 2:
        top, left, bottom, right = (float(edge) for edge in edges)
        entry["bbox"] = [left, top, right - left, bottom - top]
    else:
        entry["box"] = [float(edge) for edge in edges]  # a bbox of four numbers would lie
    return entry if mask is None else entry | {"segmentation": mask.code(size), "area": mask.area}
