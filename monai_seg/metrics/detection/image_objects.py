"""The found and the annotated objects of one image, small enough to keep all images of a data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

Code = dict[str, Any]


@dataclass
class ImageObjects:
    """Objects as COCO's run-length codes; a volume is coded as a picture whose columns are its other two axes.

    Args:
        name: of the image, by which it is told from others.
        size: of the image, ``(H, W)`` or ``(H, W, D)``.
        codes, boxes, labels, scores: of the found objects, the best first. Codes are empty where only boxes are found.
        reference_codes, reference_boxes, reference_labels, crowd: of the annotated ones.
    """

    name: str
    size: tuple[int, ...]
    codes: list[Code] = field(default_factory=list)
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    reference_codes: list[Code] = field(default_factory=list)
    reference_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    reference_labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    crowd: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def has_masks(self) -> bool:
        """Whether the found objects have masks, or there is none."""
        return len(self.codes) == len(self.scores)


def image_objects(
    name: str, prediction: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]
) -> ImageObjects:
    """Encode the objects of an image.

    Args:
        name: of the image.
        prediction: ``box``, ``label``, ``label_scores`` and, if there are masks, ``mask``; see `MaskRCNN`.
        reference: ``box``, ``label``, ``mask`` and ``crowd``; see `LoadInstancesd`.

    Shape:
        masks ``(N, H, W)`` or ``(N, H, W, D)``, boxes ``(N, 4)`` or ``(N, 6)``.

    Raises:
        ValueError: found and annotated masks differ in size.
    """
    wanted = reference["mask"]
    size = tuple(int(length) for length in wanted.shape[1:])
    order = torch.argsort(prediction["label_scores"], descending=True, stable=True)
    if "mask" in prediction and len(order) and tuple(prediction["mask"].shape[1:]) != size:
        raise ValueError(
            f"{name}: found masks are of {tuple(prediction['mask'].shape[1:])}, annotated ones of {size}\n"
            "  mend   bring the predictions back to the grid of the file: RestoreInstancesd"
        )
    crowd = reference.get("crowd")
    return ImageObjects(
        name,
        size,
        encode_masks(prediction["mask"][order]) if "mask" in prediction else [],
        _numbers(prediction["box"][order]).reshape(-1, 2 * len(size)),
        _numbers(prediction["label"][order]).astype(np.int64),
        _numbers(prediction["label_scores"][order]),
        encode_masks(wanted),
        _numbers(reference["box"]).reshape(-1, 2 * len(size)),
        _numbers(reference["label"]).astype(np.int64),
        np.zeros(len(wanted), bool) if crowd is None else _numbers(crowd).astype(bool),
    )


def encode_masks(mask: torch.Tensor) -> list[Code]:
    """Run-length codes of masks ``(N, H, W[, D])``; of a volume, of ``(H, W * D)``."""
    from pycocotools import mask as coco_mask

    values = (mask.as_tensor() if hasattr(mask, "as_tensor") else mask).detach().cpu().numpy() != 0
    flat = values.reshape(len(values), values.shape[1], math.prod(values.shape[2:])).view(np.uint8)
    return [coco_mask.encode(np.asfortranarray(each)) for each in flat]


def decode_masks(codes: list[Code], size: tuple[int, ...]) -> np.ndarray:
    """Masks ``(N, *size)`` uint8 of codes that `encode_masks` made."""
    from pycocotools import mask as coco_mask

    if not codes:
        return np.zeros((0, *size), np.uint8)
    return np.stack([coco_mask.decode(code).reshape(size) for code in codes])


def _numbers(values: torch.Tensor) -> np.ndarray:
    plain = values.as_tensor() if hasattr(values, "as_tensor") else values
    return plain.detach().cpu().double().numpy()
