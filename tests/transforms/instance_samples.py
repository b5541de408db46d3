"""Made-up images with objects, and what must hold of every sample."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from monai_seg.transforms import masks_to_boxes


def sample_of(count: int = 5, size: tuple[int, ...] = (40, 56), seed: int = 0) -> dict:
    """An image, and ellipsoids that do not overlap; the last one of several is a crowd. Also as one instance map."""
    draw = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*(np.arange(length) for length in size), indexing="ij"), axis=-1)
    instances = np.zeros(size, np.int64)
    for number in range(1, count + 1):
        centre, radius = draw.uniform(0, size), draw.uniform(2, 8, len(size))
        ellipsoid = (((index - centre) / radius) ** 2).sum(axis=-1) <= 1
        instances[ellipsoid & (instances == 0)] = number
    present = [number for number in range(1, count + 1) if (instances == number).any()]
    masks = np.stack([instances == number for number in present]) if present else np.zeros((0, *size), bool)
    mask = MetaTensor(torch.from_numpy(masks.astype(np.uint8)), affine=torch.eye(4))
    return {
        "image": MetaTensor(torch.from_numpy(draw.normal(size=(1, *size)).astype(np.float32)), affine=torch.eye(4)),
        "mask": mask,
        "label": torch.tensor(present, dtype=torch.int64),  # the number in the map: it tells the objects apart
        "box": masks_to_boxes(mask),
        "crowd": torch.arange(len(present)) == max(len(present) - 1, 1),
        "map": MetaTensor(torch.from_numpy(instances[None].astype(np.float32)), affine=torch.eye(4)),
    }


def check_agreement(sample: dict) -> None:
    """Image, masks, boxes, classes and crowds of one sample belong together."""
    mask, count = sample["mask"], len(sample["mask"])
    assert mask.dtype == torch.uint8
    assert isinstance(mask, MetaTensor)
    assert mask.shape[1:] == sample["image"].shape[1:]
    assert torch.equal(mask.affine, sample["image"].affine)
    assert torch.equal(sample["box"], masks_to_boxes(mask))
    assert sample["box"].shape == (count, 2 * (mask.ndim - 1))
    assert not isinstance(sample["box"], MetaTensor)
    expected = {"box": torch.float32, "label": torch.int64, "crowd": torch.bool}
    assert {key: sample[key].dtype for key in expected} == expected
    assert [len(sample[key]) for key in expected] == [count] * 3
    assert count == 0 or mask.amax() == 1
