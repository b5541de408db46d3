"""Bring found objects back to the grid of the file that they were found in: `RestoreInstancesd`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, SpatialResample
from monai.utils.enums import TraceKeys


def size_as_read(image: MetaTensor) -> tuple[int, ...]:
    """Height, width and depth of an image before the first transform that is traced; its own where there was none."""
    traced = image.applied_operations
    size = traced[0][TraceKeys.ORIG_SIZE] if traced else image.shape[1:]
    return tuple(int(length) for length in size)


class RestoreInstancesd(MapTransform):
    """Undo for boxes and masks what resized, padded or turned the image before the network saw it.

    It goes by the affine of the image, now and when it was read, so that no transform has to be inverted. Masks are
    interpolated linearly and cut at one half, which leaves no stairs where they grow.

    Args:
        keys: of the predictions, see `MaskRCNN`.
        image_key: of the image as the network saw it, a `MetaTensor`.

    Shape:
        ``mask`` ``(N, *size of the file)`` uint8, ``box`` ``(N, 4 or 6)`` float32 within the file. Without masks only
        the boxes are brought back.

    Raises:
        ValueError: the masks are as small as their objects, see `SlidingWindowDetectionInferer`, and the image has
            another grid than its file.
    """

    def __init__(self, keys: str = "pred", image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        image = sample[self.image_key]
        size = size_as_read(image)
        # Volumes bring an affine with them; that of a picture is the identity, of which nothing is noted.
        read = torch.as_tensor(image.meta.get("original_affine", torch.eye(4)), dtype=torch.float64)
        unchanged = size == tuple(image.shape[1:]) and torch.allclose(read, image.affine.double().cpu())
        for key in self.key_iterator(sample):
            if not unchanged:
                sample[key] = sample[key] | self._restored(sample[key], image, read, size)
        return sample

    def _restored(
        self, found: Mapping[str, torch.Tensor], image: MetaTensor, read: torch.Tensor, size: tuple[int, ...]
    ) -> dict[str, torch.Tensor]:
        if "placed_mask" in found:
            raise ValueError(
                "masks that are as small as their objects stay on the grid that the network saw\n"
                "  mend   give the inferer masks: full, or leave the resizing out"
            )
        restored = {"box": _moved(found["box"], torch.linalg.inv(read) @ image.affine.double().cpu(), size)}
        if "mask" in found:
            masks = torch.zeros((len(found["mask"]), *size), dtype=torch.uint8, device=found["mask"].device)
            resample = SpatialResample(mode="bilinear", padding_mode="zeros", dtype=torch.float32)
            for place, mask in zip(masks, found["mask"], strict=True):  # one by one: N float images may not fit
                soft = MetaTensor(mask[None].float(), affine=image.affine)
                place.copy_(torch.as_tensor(resample(soft, dst_affine=read, spatial_size=size))[0] >= 0.5)
            restored["mask"] = masks
        return restored


def _moved(box: torch.Tensor, to_file: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Boxes by their corners; edges lie half a pixel before the centres that an affine speaks of."""
    dims = len(size)
    if not len(box):
        return box.reshape(0, 2 * dims)
    scale = to_file[:dims, :dims].to(box.device)
    shift = to_file[:dims, 3 if to_file.shape[0] == 4 else dims].to(box.device)
    edges = box.double().reshape(-1, 2, dims) - 0.5
    choice = torch.cartesian_prod(*[torch.tensor([0, 1], device=box.device)] * dims)
    corners = torch.stack([edges[:, choice[:, axis], axis] for axis in range(dims)], dim=-1)
    moved = corners @ scale.T + shift + 0.5
    limit = torch.tensor(size, dtype=torch.float64, device=box.device)
    low, high = moved.amin(dim=1), moved.amax(dim=1)
    return torch.cat([low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)], dim=1).float()
