"""What goes into a detector and what comes out of it: checked images and targets, padding, masks put in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torchvision.models.detection.image_list import ImageList

from monai_seg.networks.roi_align import paste_masks

_SWAPPED = [1, 0, 3, 2]
# torchvision cuts the masks that it trains on out of their boxes with `roi_align` of ``aligned=False``, half a pixel
# further down and right than the boxes say.
_CUT_OFF = 0.5


class PaddedImages(nn.Module):
    """Takes the place of torchvision's transform: normalises and pads, but never resizes.

    Args:
        mean: of the channels of images in [0, 1], subtracted.
        std: that they are divided by.
        mask_threshold: probability from which a pixel belongs to the object.
        spatial_dims: of the images.
        stride: of which the padded lengths are multiples.
    """

    image_mean: torch.Tensor
    image_std: torch.Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        mask_threshold: float = 0.5,
        spatial_dims: int = 2,
        stride: int = 32,
    ) -> None:
        super().__init__()
        self.mask_threshold, self.stride = mask_threshold, stride
        self.register_buffer("image_mean", torch.tensor(mean).view(-1, *[1] * spatial_dims))
        self.register_buffer("image_std", torch.tensor(std).view(-1, *[1] * spatial_dims))

    def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take over the mean and the deviation that pretrained weights expect."""
        self.image_mean.copy_(torch.tensor(mean).view_as(self.image_mean))
        self.image_std.copy_(torch.tensor(std).view_as(self.image_std))

    def forward(self, images: list[torch.Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        sizes = [tuple(image.shape[1:]) for image in images]
        lengths = (-(-max(each) // self.stride) * self.stride for each in zip(*sizes, strict=True))
        batch = images[0].new_zeros((len(images), images[0].shape[0], *lengths))
        for place, image in zip(batch, images, strict=True):
            corner = (slice(None), *(slice(length) for length in image.shape[1:]))
            place[corner] = (image - self.image_mean) / self.image_std
        return ImageList(batch, sizes), targets

    def postprocess(
        self, result: list[dict[str, torch.Tensor]], sizes: list[tuple[int, int]], original_sizes: Any
    ) -> list[dict[str, torch.Tensor]]:
        """Replace the small mask of each box by one of the size of the image.

        torchvision's own pasting takes boxes for whole pixels, both ends included, so that a mask comes out one pixel
        too large and shifted: a fifth more area, for an object of 25 pixels.
        """
        for found, size in zip(result, sizes, strict=True) if not self.training else ():
            place = found["boxes"][:, _SWAPPED] + _CUT_OFF
            found["masks"] = paste_masks(found["masks"][:, 0], place, size, self.mask_threshold)
        return result


def in_float32(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """A forward hook: what a head gives in bfloat16 under autocast goes on in float32."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    return type(outputs)(in_float32(module, inputs, item) for item in outputs)


def images_and_targets(
    images: torch.Tensor | Sequence[torch.Tensor],
    targets: Sequence[Mapping[str, torch.Tensor]] | None,
    in_channels: int,
    num_classes: int,
    spatial_dims: int,
    training: bool,
) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Check what a detector is given, and take from it what only MONAI needs.

    Args:
        images, targets: as `MaskRCNN` takes them.
        in_channels, num_classes, spatial_dims: of the network.
        training: whether targets are needed.

    Returns:
        Plain tensors, float32 images; of the targets only objects that fill at least a part of one pixel.

    Raises:
        ValueError: see `MaskRCNN`.
    """
    pictures = [image.as_tensor() if hasattr(image, "as_tensor") else image for image in images]
    for index, image in enumerate(pictures):
        if image.ndim != spatial_dims + 1 or image.shape[0] != in_channels:
            raise ValueError(
                f"image {index} of the batch has shape {tuple(image.shape)}; the network takes ({in_channels}, "
                f"{', '.join(('height', 'width', 'depth')[:spatial_dims])}): mend in_channels, or the transforms that "
                "load the image"
            )
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"image {index} of the batch holds NaN or infinite values: look for them in the file")
    pictures = [image.float() for image in pictures]
    if not training:
        return pictures, []
    if targets is None or len(targets) != len(pictures):
        given = "none" if targets is None else str(len(targets))
        raise ValueError(f"targets for {len(pictures)} images are needed in training, given are {given}")
    return pictures, [
        _checked(target, image, index, num_classes)
        for index, (target, image) in enumerate(zip(targets, pictures, strict=True))
    ]


def _checked(
    target: Mapping[str, torch.Tensor], image: torch.Tensor, index: int, num_classes: int
) -> dict[str, torch.Tensor]:
    plain = {
        name: value.as_tensor() if hasattr(value, "as_tensor") else value
        for name, value in target.items()
        if name in ("box", "label", "mask")
    }
    box, label = plain["box"].reshape(-1, 2 * (image.ndim - 1)), plain["label"].reshape(-1)
    if len(box) != len(label) or ("mask" in plain and len(plain["mask"]) != len(box)):
        counts = ", ".join(f"{len(value)} of {name}" for name, value in plain.items())
        raise ValueError(f"the target of image {index} disagrees with itself: {counts}")
    if "mask" in plain and len(box) and plain["mask"].shape[1:] != image.shape[1:]:
        raise ValueError(
            f"masks of image {index} have {tuple(plain['mask'].shape[1:])} pixels, the image {tuple(image.shape[1:])}"
        )
    if len(label) and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
        wrong = int(label.max()) if int(label.max()) >= num_classes else int(label.min())
        raise ValueError(
            f"image {index} has an object of class {wrong}; the network knows {num_classes}, counted from 0: mend "
            "num_classes, or class_names"
        )
    dims = box.shape[1] // 2
    solid = (box[:, dims:] > box[:, :dims]).all(dim=1)
    if not len(box):
        plain["mask"] = torch.zeros((0, *image.shape[1:]), dtype=torch.uint8, device=image.device)
    return plain | {"box": box, "label": label} if solid.all() else _only(plain | {"box": box, "label": label}, solid)


def _only(target: dict[str, torch.Tensor], kept: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: value[kept] for name, value in target.items()}
