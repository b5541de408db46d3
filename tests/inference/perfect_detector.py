"""A network that finds every connected component of what it sees: a detector without errors."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import binary_dilation, label

from monai_seg.transforms import masks_to_boxes


class PerfectDetector:
    """Each connected bright region of an image is an object; its score is its largest intensity.

    Args:
        classes: how many classes there are; an object's is its intensity before the point, modulo.
        with_masks: whether masks are given beside boxes.

    Attributes:
        seen: sizes of the images of each call.
    """

    def __init__(self, classes: int = 1, with_masks: bool = True) -> None:
        self.classes, self.with_masks = classes, with_masks
        self.seen: list[list[tuple[int, ...]]] = []

    def __call__(self, images) -> list[dict[str, torch.Tensor]]:
        self.seen.append([tuple(image.shape[1:]) for image in images])
        return [self._found(torch.as_tensor(image).cpu()) for image in images]

    def _found(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        parts, count = label(image[0].numpy() > 0, structure=np.ones((3,) * (image.ndim - 1)))
        mask = torch.from_numpy(np.stack([parts == number for number in range(1, count + 1)]) if count else
                                np.zeros((0, *parts.shape), bool)).to(torch.uint8)  # fmt: skip
        values = torch.tensor([float(image[0][each > 0].max()) for each in mask])
        order = torch.argsort(values % 1, descending=True, stable=True)
        found = {
            "box": masks_to_boxes(mask)[order],
            "label": (values.long() % self.classes)[order],
            "label_scores": (values % 1)[order].float(),
            "mask": mask[order],
        }
        return found if self.with_masks else {name: value for name, value in found.items() if name != "mask"}


def scene(size: tuple[int, ...], count: int, radius: tuple[float, float], seed: int = 0, classes: int = 1):
    """Ellipsoids that do not touch, each with a class and a score of its own, ``(1, *size)``."""
    draw = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*(np.arange(length) for length in size), indexing="ij"), axis=-1)
    image, taken = np.zeros(size, np.float32), np.zeros(size, bool)
    for number in range(count):
        inside = (((index - draw.uniform(0, size)) / draw.uniform(*radius, len(size))) ** 2).sum(axis=-1) <= 1
        if not (binary_dilation(inside, iterations=2 * len(size)) & taken).any():
            image[inside] = draw.integers(classes) + classes + (number + 1) / (count + 2)
            taken |= inside
    return torch.from_numpy(image)[None]
