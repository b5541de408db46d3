"""Small annotated data sets as annotation programs write them: one image of a square and a hole in the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (20, 30)  # height, width
SQUARE = [4.0, 2.0, 14.0, 2.0, 14.0, 8.0, 4.0, 8.0]  # columns 4 to 13, rows 2 to 7


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)).save(path, **options)
    return path


def save_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def square_mask() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[2:8, 4:14] = 1
    return mask


def coco(
    root: Path, *annotations: dict, images: list[dict] | None = None, categories: list[dict] | None = None
) -> Path:
    """Image 5 with these annotations of category 7, and image 9, which shows nothing."""
    for number, name in enumerate(("a.png", "b.png")):
        save_image(root / "images" / name, number)
    entry = {"height": SIZE[0], "width": SIZE[1]}
    usual = [{"id": 5, "file_name": "a.png"} | entry, {"id": 9, "file_name": "b.png"} | entry]
    given = [
        {"id": n, "image_id": 5, "category_id": 7, "segmentation": [SQUARE]} | a for n, a in enumerate(annotations)
    ]
    content = {
        "images": usual if images is None else images,
        "annotations": given,
        "categories": [{"id": 7, "name": "cell"}, {"id": 30, "name": "rod"}] if categories is None else categories,
    }
    save_json(root / "annotations.json", content)
    return root
