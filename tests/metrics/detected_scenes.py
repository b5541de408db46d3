"""Made-up images with annotated and found objects, as the detection metrics take them, and as COCO has them."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from monai_seg.metrics.detection import ImageObjects, image_objects
from monai_seg.transforms import masks_to_boxes


def scene(seed: int, count: int = 6, size: tuple[int, ...] = (40, 56), classes: int = 2) -> list[ImageObjects]:
    """Images with rectangles; found ones are shifted, missed or invented, with scores that repeat."""
    draw = np.random.default_rng(seed)
    images = []
    for number in range(count):
        reference = rectangles(draw, int(draw.integers(0, 5)), size)
        found = [np.roll(mask, draw.integers(-3, 4, len(size)), range(len(size))) for mask in reference]
        found = [mask for mask in found if draw.random() < 0.8] + list(rectangles(draw, int(draw.integers(0, 3)), size))
        prediction = np.array(found, np.uint8).reshape(-1, *size)
        images.append(
            objects(
                f"image_{number}.png",
                prediction,
                draw.integers(0, classes, len(prediction)),
                draw.choice([0.2, 0.5, 0.5, 0.7, 0.9], len(prediction)) if number % 2 else draw.random(len(prediction)),
                reference,
                draw.integers(0, classes, len(reference)),
                draw.random(len(reference)) < 0.15,
            )
        )
    return images


def rectangles(draw: np.random.Generator, count: int, size: tuple[int, ...]) -> np.ndarray:
    masks = np.zeros((count, *size), np.uint8)
    for mask in masks:
        low = [int(draw.integers(0, length - 8)) for length in size]
        high = [start + int(draw.integers(4, 20)) for start in low]
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return masks


def objects(name, found, labels, scores, reference, reference_labels, crowd) -> ImageObjects:
    found, reference = torch.from_numpy(np.asarray(found)), torch.from_numpy(np.asarray(reference))
    prediction = {
        "mask": found,
        "box": masks_to_boxes(found),
        "label": torch.as_tensor(labels),
        "label_scores": torch.as_tensor(scores),
    }
    annotated = {
        "mask": reference,
        "box": masks_to_boxes(reference),
        "label": torch.as_tensor(reference_labels),
        "crowd": torch.as_tensor(crowd),
    }
    return image_objects(name, prediction, annotated)


def as_coco(images: list[ImageObjects], kind: str) -> COCOeval:
    """COCO's own evaluation of the same objects, in its own form: columns first, crowds flagged."""
    content: dict = {"info": {}, "images": [], "annotations": [], "categories": [{"id": 1}, {"id": 2}]}
    results = []
    for number, image in enumerate(images):
        content["images"].append({"id": number, "height": image.size[0], "width": image.size[1]})
        for code, box, label, crowd in zip(
            image.reference_codes, image.reference_boxes, image.reference_labels, image.crowd, strict=True
        ):
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": number,
                "category_id": int(label) + 1, "segmentation": code, "bbox": coco_box(box), "iscrowd": int(crowd),
                "area": area(code)})  # fmt: skip
        for code, box, label, score in zip(image.codes, image.boxes, image.labels, image.scores, strict=True):
            entry = {"image_id": number, "category_id": int(label) + 1, "score": float(score)}
            results.append(entry | ({"segmentation": code} if kind == "segm" else {"bbox": coco_box(box)}))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def coco_box(box: np.ndarray) -> list[float]:
    top, left, bottom, right = box.tolist()
    return [left, top, right - left, bottom - top]


def area(code: dict) -> float:
    from pycocotools import mask

    return float(mask.area(code))
