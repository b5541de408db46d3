"""Objects of three images, annotated and found, and an evaluator that hands them to a handler."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from monai_seg.transforms import masks_to_boxes

CLASSES = ["cell", "nucleus"]
SIZE = (40, 56)


def square(top, left, bottom, right, size=SIZE):
    mask = torch.zeros(1, *size, dtype=torch.uint8)
    mask[0, top:bottom, left:right] = 1
    return mask


def objects(masks, labels, scores=None, crowd=None):
    mask = torch.cat([*masks, torch.zeros(0, *SIZE, dtype=torch.uint8)])
    found = {"mask": mask, "box": masks_to_boxes(mask), "label": torch.tensor(labels, dtype=torch.int64)}
    if scores is not None:
        return found | {"label_scores": torch.tensor(scores, dtype=torch.float32)}
    return found | {"crowd": torch.tensor(crowd or [False] * len(labels), dtype=torch.bool)}


REFERENCES = [
    objects([square(2, 2, 12, 12), square(20, 20, 36, 40)], [0, 1]),
    objects([square(5, 5, 15, 25), square(0, 40, 30, 56)], [0, 0], crowd=[False, True]),
    objects([], []),
]
PREDICTIONS = [
    objects([square(3, 2, 12, 12), square(20, 22, 36, 44), square(30, 2, 36, 8)], [0, 1, 0], [0.7, 0.9, 0.3]),
    objects([square(5, 5, 15, 20), square(2, 42, 10, 50)], [0, 0], [0.6, 0.95]),
    objects([square(1, 1, 4, 4)], [1], [0.2]),
]


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(size, np.uint8)).save(path)
    return str(path)


def run(handler: Any, files, predictions, references=None, image=None) -> None:
    """As an evaluator that has just finished one batch of these files."""

    def step(engine, batch):
        seen = torch.zeros(1, *SIZE) if image is None else image
        images = [MetaTensor(seen, meta={"filename_or_obj": file}) for file in files]
        samples = [{"image": each} for each in images]
        engine.state.batch = [a | (b or {}) for a, b in zip(samples, references or [None] * len(files), strict=True)]
        return [{"image": each, "pred": found} for each, found in zip(images, predictions, strict=True)]

    engine = Engine(step)
    engine.network = torch.nn.Module()
    engine.network.register_buffer("score_threshold", torch.tensor(0.5))
    engine.data_loader = SimpleNamespace(dataset=SimpleNamespace(data=[{"image": file} for file in files]))
    handler.attach(engine)
    engine.run([0])
