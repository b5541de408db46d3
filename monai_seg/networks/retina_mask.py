"""RetinaNet with a mask for each object, in 2D and 3D: `RetinaMask`."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from monai.networks.layers.factories import Conv
from torch import nn

from monai_seg.networks.retina_net import RetinaNet, Targets
from monai_seg.networks.roi_align import paste_masks, roi_align

_CELLS = {2: 14, 3: 7}  # of the features of an object along each axis; its mask has twice as many
_GROUPS = 8


class RetinaMask(RetinaNet):
    """`RetinaNet` whose objects have masks, from the features of their boxes.

    The mask head learns on the annotated boxes, moved and scaled by chance as found ones are, so that it needs no
    found boxes and no sampling of them. It sees, and fills, a little more than the box, so that a mask may reach
    beyond an edge that was found too narrow.

    Args:
        mask_threshold: probability from which a pixel belongs to the object.
        mask_context: side of what the mask head sees, over that of the box.
        mask_jitter: how far an edge may move in training, as a share of the side of the box.
        mask_copies: of each annotated box in training.
        masks_per_batch: at most, in training; of more boxes, as many are drawn.
        options: of `RetinaNet`.

    Shape:
        as `MaskRCNN`, also of volumes.

    Source:
        arXiv:1901.03353; the head is that of Mask R-CNN, arXiv:1703.06870.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 1,
        spatial_dims: int = 2,
        mask_threshold: float = 0.5,
        mask_context: float = 1.2,
        mask_jitter: float = 0.1,
        mask_copies: int = 2,
        masks_per_batch: int = 64,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, num_classes, spatial_dims, **options)
        if mask_context < 1 or not 0 <= mask_jitter < 0.5 or mask_copies < 1 or masks_per_batch < 1:
            raise ValueError(
                f"mask_context is {mask_context}, mask_jitter {mask_jitter}, mask_copies {mask_copies}, "
                f"masks_per_batch {masks_per_batch}; give 1 or more, 0 to 0.5, 1 or more, 1 or more"
            )
        self.mask_threshold, self.mask_context, self.mask_jitter = mask_threshold, mask_context, mask_jitter
        self.mask_copies, self.masks_per_batch = mask_copies, masks_per_batch
        pyramid = self.detector.network.feature_extractor
        # The last level of the pyramid is only the one before, thinned out.
        self.mask_strides = self.strides[: pyramid.level_count - 1]
        self.mask_head = _MaskHead(pyramid.out_channels, num_classes, spatial_dims)

    def _losses(self, batch: torch.Tensor, levels: list[torch.Tensor], targets: Targets) -> dict[str, torch.Tensor]:
        return super()._losses(batch, levels, targets) | {"mask": self._mask_loss(levels, targets)}

    def _mask_loss(self, levels: list[torch.Tensor], targets: Targets) -> torch.Tensor:
        boxes, wanted, labels = [], [], []
        cells = 2 * _CELLS[self.spatial_dims]
        most = max(1, self.masks_per_batch // len(targets))
        for target in targets:
            places = torch.arange(len(target["box"]), device=levels[0].device).repeat(self.mask_copies)
            if len(places) > most:
                places = places[torch.randperm(len(places), device=places.device)[:most]]
            box = self._moved(self._widened(target["box"][places].float()))
            boxes.append(box)
            labels.append(target["label"][places].long())
            masks = target["mask"][places][:, None]
            wanted += [roi_align(mask[None].float(), [one[None]], cells) for mask, one in zip(masks, box, strict=True)]
        chosen = torch.cat(labels)
        logits = self._mask_logits(levels, boxes)
        if not len(chosen):
            return 0.0 * logits.sum() + 0.0 * sum(weight.sum() for weight in self.mask_head.parameters())
        own = logits[torch.arange(len(chosen), device=chosen.device), chosen]
        return nn.functional.binary_cross_entropy_with_logits(own, torch.cat(wanted)[:, 0])

    def _found(
        self, batch: torch.Tensor, levels: list[torch.Tensor], sizes: list[tuple[int, ...]]
    ) -> list[dict[str, torch.Tensor]]:
        found = super()._found(batch, levels, sizes)
        boxes = [self._widened(each["box"]) for each in found]
        parts = self._mask_logits(levels, boxes).sigmoid().split([len(each) for each in boxes])
        for objects, box, probabilities, size in zip(found, boxes, parts, sizes, strict=True):
            own = probabilities[torch.arange(len(box), device=box.device), objects["label"]]
            objects["mask"] = paste_masks(own, box, size, self.mask_threshold)
        return found

    def _mask_logits(self, levels: list[torch.Tensor], boxes: list[torch.Tensor]) -> torch.Tensor:
        """Of all boxes of all images, for each class, ``(N, num_classes, cells, ...)`` float32."""
        cells = _CELLS[self.spatial_dims]
        if not sum(map(len, boxes)):
            return levels[0].new_zeros((0, self.num_classes, *[2 * cells] * self.spatial_dims)).float()
        counts = [len(each) for each in boxes]
        level_of = torch.cat([self._level(each) for each in boxes])
        features: torch.Tensor | None = None
        for number, stride in enumerate(self.mask_strides):
            chosen = level_of == number
            part = [box[own] for box, own in zip(boxes, chosen.split(counts), strict=True)]
            pooled = _pooled(levels[number].float(), part, cells, 1 / stride)
            features = pooled.new_zeros((len(chosen), *pooled.shape[1:])) if features is None else features
            features = features.index_put((chosen.nonzero()[:, 0],), pooled)
        return self.mask_head(features).float()

    def _level(self, box: torch.Tensor) -> torch.Tensor:
        """The coarsest level on which a cell is still one of its pixels wide."""
        dims = self.spatial_dims
        side = (box[:, dims:] - box[:, :dims]).clamp(min=1e-3).prod(dim=1) ** (1 / dims)
        level = torch.floor(torch.log2(side / (_CELLS[dims] * self.mask_strides[0])))
        return level.clamp(0, len(self.mask_strides) - 1).long()

    def _widened(self, box: torch.Tensor) -> torch.Tensor:
        dims = self.spatial_dims
        more = (box[:, dims:] - box[:, :dims]) * (self.mask_context - 1) / 2
        return torch.cat([box[:, :dims] - more, box[:, dims:] + more], dim=1)

    def _moved(self, box: torch.Tensor) -> torch.Tensor:
        side = (box[:, self.spatial_dims :] - box[:, : self.spatial_dims]).repeat(1, 2)
        return box + (2 * torch.rand_like(box) - 1) * self.mask_jitter * side


class _MaskHead(nn.Sequential):
    """Four convolutions, twice the resolution, one logit for each class."""

    def __init__(self, channels: int, num_classes: int, spatial_dims: int) -> None:
        convolution, transposed = Conv[Conv.CONV, spatial_dims], Conv[Conv.CONVTRANS, spatial_dims]
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [convolution(channels, channels, 3, padding=1), nn.GroupNorm(_GROUPS, channels), nn.ReLU()]
        layers += [transposed(channels, channels, 2, stride=2), nn.ReLU(), convolution(channels, num_classes, 1)]
        super().__init__(*layers)


def _pooled(level: torch.Tensor, boxes: list[torch.Tensor], cells: int, scale: float) -> torch.Tensor:
    """Features of boxes; in 2D torchvision's compiled code does it faster."""
    if level.ndim != 4:
        return roi_align(level, boxes, cells, scale)
    swapped = [box[:, [1, 0, 3, 2]].float() for box in boxes]  # in bfloat16 an edge would move by a pixel
    return torchvision.ops.roi_align(level, swapped, cells, scale, sampling_ratio=2, aligned=True)
