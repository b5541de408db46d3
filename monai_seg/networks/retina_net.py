"""RetinaNet for pictures and volumes, on the parts of MONAI's detector: `RetinaNet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet as MonaiRetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from monai.apps.detection.utils.box_selector import BoxSelector
from monai.data.box_utils import clip_boxes_to_image
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from monai_seg.networks.detector_input import PaddedImages, images_and_targets
from monai_seg.networks.feature_pyramid import SMALL, DetectorNorm, FeaturePyramid
from monai_seg.networks.non_maximum_suppression import non_maximum_suppression
from monai_seg.networks.small_volumes import small_volumes_in_float32

_CANDIDATES = 1000  # of each level, before boxes suppress each other
_BOX_ERROR = 1.0 / 9  # from which the error of a box counts linearly
Targets = list[dict[str, torch.Tensor]]


class RetinaNet(nn.Module):
    """One-stage detector: every place of a feature pyramid says what lies there, and where its edges are.

    Pyramid, heads, anchors, matching (ATSS) and box code are MONAI's. Different from `RetinaNetDetector`: the focal
    loss is averaged over the matched anchors, as in the paper; images without objects leave no weight without a
    gradient, so that several processes can train; boxes are decoded in float32 under autocast; and boxes suppress each
    other all at once.

    Args:
        in_channels: of the images.
        num_classes: of the objects, background not counted.
        spatial_dims: 2, or 3 with the small backbone.
        backbone, pretrained, norm, frozen_stages: see `FeaturePyramid`.
        stem_stride: 1 doubles the resolution of all levels of the small backbone, for objects of few voxels.
        fpn_channels: of each level, a multiple of 8.
        anchor_sizes: side of a typical object in pixels, one for each level, the finest first. Fewer sizes than levels
            leave the coarsest levels out, which in a small volume are a few voxels wide and of no use.
        anchor_ratios: in 2D width over height; in 3D a pair for each anchor, second and third axis over the first, of
            which a plain 1.0 means a cube.
        matching_candidates: anchors near the middle of an object that may learn it, on each level.
        score_thresh: below which nothing is given.
        nms_thresh: overlap of two boxes from which the worse one goes.
        detections_per_image: at most.

    Attributes:
        score_threshold: see `MaskRCNN`.

    Shape:
        as `MaskRCNN`, also of volumes ``(B, C, H, W, D)`` with boxes ``(N, 6)``; without ``mask``.

    Raises:
        ValueError: see `MaskRCNN`.

    Source:
        arXiv:1708.02002; ATSS: arXiv:1912.02424.
    """

    score_threshold: torch.Tensor

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 1,
        spatial_dims: int = 2,
        backbone: str = SMALL,
        pretrained: str | Path | None = None,
        norm: DetectorNorm = "group",
        frozen_stages: int = 0,
        stem_stride: int = 2,
        fpn_channels: int = 64,
        anchor_sizes: Sequence[float] = (12, 24, 48, 96),
        anchor_ratios: Sequence[float | Sequence[float]] = (1.0,),
        matching_candidates: int = 4,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_image: int = 100,
    ) -> None:
        super().__init__()
        self.register_buffer("score_threshold", torch.tensor(0.5))
        if num_classes < 1 or in_channels < 1:
            raise ValueError(f"in_channels is {in_channels}, num_classes {num_classes}; give 1 or more of each")
        self.in_channels, self.num_classes, self.spatial_dims = in_channels, num_classes, spatial_dims
        pyramid = FeaturePyramid(
            backbone, in_channels, fpn_channels, pretrained, norm, frozen_stages, False, spatial_dims, stem_stride
        )
        if not 1 <= len(anchor_sizes) <= pyramid.level_count:
            raise ValueError(
                f"anchor_sizes is {tuple(anchor_sizes)}; the backbone {backbone} has {pyramid.level_count} levels: "
                "give one size for each, or for the finest ones"
            )
        self.strides = pyramid.strides[: len(anchor_sizes)]
        for number, block in enumerate(pyramid.fpn.get_submodule("layer_blocks").children()):
            block.requires_grad_(number < len(anchor_sizes))  # several processes would wait for the others' gradients
        ratios = [_ratios(each, spatial_dims) for each in anchor_ratios]
        self.padding = PaddedImages(pyramid.mean, pyramid.std, spatial_dims=spatial_dims, stride=self.strides[-1])
        network = MonaiRetinaNet(spatial_dims, num_classes, len(ratios), pyramid)
        anchors = AnchorGenerator(tuple((size,) for size in anchor_sizes), (tuple(ratios),) * len(anchor_sizes))
        self.detector = _Detector(network, anchors)
        self.detector.set_atss_matcher(matching_candidates)
        self.detector.box_selector = _Selector(
            score_thresh=score_thresh,
            topk_candidates_per_level=_CANDIDATES,
            nms_thresh=nms_thresh,
            detections_per_img=detections_per_image,
        )
        small_volumes_in_float32(self)

    def forward(
        self,
        images: torch.Tensor | Sequence[torch.Tensor],
        targets: Sequence[Mapping[str, torch.Tensor]] | None = None,
    ) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        pictures, wanted = images_and_targets(
            images,
            targets if self.training else None,
            self.in_channels,
            self.num_classes,
            self.spatial_dims,
            self.training,
        )
        batch, _ = self.padding(pictures)
        levels = list(self.detector.network.feature_extractor(batch.tensors).values())[: len(self.strides)]
        if self.training:
            return self._losses(batch.tensors, levels, wanted)
        return self._found(batch.tensors, levels, batch.image_sizes)

    def _losses(self, batch: torch.Tensor, levels: list[torch.Tensor], targets: Targets) -> dict[str, torch.Tensor]:
        return self.detector.losses(batch, levels, targets)

    def _found(
        self, batch: torch.Tensor, levels: list[torch.Tensor], sizes: list[tuple[int, ...]]
    ) -> list[dict[str, torch.Tensor]]:
        return self.detector.found(batch, levels, sizes)

    def parameter_groups(self, encoder_lr: float, decoder_lr: float) -> list[dict[str, Any]]:
        """Two groups for an optimiser, see `MaskRCNN.parameter_groups`."""
        body = {id(parameter) for parameter in self.detector.network.feature_extractor.body.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {"name": "encoder", "params": [p for p in trained if id(p) in body], "lr": encoder_lr},
            {"name": "decoder", "params": [p for p in trained if id(p) not in body], "lr": decoder_lr},
        ]


class _Detector(RetinaNetDetector):
    """MONAI's detector, fed with the levels of the pyramid, which the mask head needs too."""

    def __init__(self, network: MonaiRetinaNet, anchors: AnchorGenerator) -> None:
        super().__init__(network, anchors)
        self.set_target_keys("box", "label")
        self.set_cls_loss(_SummedFocalLoss())
        self.set_box_regression_loss(nn.SmoothL1Loss(beta=_BOX_ERROR, reduction="mean"), True, False)

    def losses(self, batch: torch.Tensor, levels: list[torch.Tensor], targets: Targets) -> dict[str, torch.Tensor]:
        """The losses by name."""
        outputs, counts = self._outputs(batch, levels)
        return self.compute_loss(outputs, targets, self.anchors, counts)

    def found(
        self, batch: torch.Tensor, levels: list[torch.Tensor], sizes: list[tuple[int, ...]]
    ) -> list[dict[str, torch.Tensor]]:
        """The objects of each image, the best first."""
        outputs, counts = self._outputs(batch, levels)
        return self.postprocess_detections(outputs, self.anchors, sizes, counts)

    def _outputs(self, batch: torch.Tensor, levels: list[torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[int]]:
        maps = {
            self.cls_key: self.network.classification_head(levels),
            self.box_reg_key: self.network.regression_head(levels),
        }
        self.anchors = self.anchor_generator(batch, maps[self.cls_key])
        counts = [each.shape[2:].numel() for each in maps[self.cls_key]]
        return {name: self._reshape_maps(each).float() for name, each in maps.items()}, counts

    def compute_cls_loss(self, cls_logits: torch.Tensor, targets: Targets, matched_idxs: Any) -> torch.Tensor:
        """The sum over all anchors, per matched one."""
        matched = torch.stack([(each >= 0).sum() for each in matched_idxs]).sum().clamp(min=1)
        return super().compute_cls_loss(cls_logits, targets, matched_idxs) / matched

    def compute_box_loss(
        self, box_regression: torch.Tensor, targets: Targets, anchors: Any, matched_idxs: Any
    ) -> torch.Tensor:
        """The mean over matched anchors; without any, a zero that all weights lead to."""
        loss = super().compute_box_loss(box_regression, targets, anchors, matched_idxs)
        return loss if loss.requires_grad else 0.0 * box_regression.sum()


class _SummedFocalLoss(nn.Module):
    """torchvision's; MONAI's averages over all anchors whatever its reduction is, as they have no spatial axes."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2.0, reduction="sum")


class _Selector(BoxSelector):
    """MONAI's, but for the suppression."""

    def select_boxes_per_image(
        self, boxes_list: list[torch.Tensor], logits_list: list[torch.Tensor], spatial_size: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes, scores and classes, the best first."""
        chosen = []
        for boxes, logits in zip(boxes_list, logits_list, strict=True):
            place, scores, labels = self.select_top_score_idx_per_level(logits)
            inside, kept = clip_boxes_to_image(boxes[place], spatial_size, remove_empty=True)
            chosen.append((inside, scores[kept], labels[kept]))
        boxes, scores, labels = (torch.cat(each) for each in zip(*chosen, strict=True))
        kept = non_maximum_suppression(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
        return boxes[kept], scores[kept], labels[kept]


def _ratios(given: float | Sequence[float], spatial_dims: int) -> float | tuple[float, ...]:
    if spatial_dims == 2 and isinstance(given, (int, float)):
        return float(given)
    if spatial_dims == 3 and given == 1.0:
        return (1.0, 1.0)
    if spatial_dims == 3 and not isinstance(given, (int, float)) and len(given) == 2:
        return tuple(float(each) for each in given)
    raise ValueError(f"an anchor ratio is {given}; give a number in 2D, and in 3D a pair of numbers, or 1.0")
