"""torchvision's Mask R-CNN with the names, the axes and the labels of MONAI, for images of any channels and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from monai_seg.networks.detector_input import PaddedImages, images_and_targets, in_float32
from monai_seg.networks.detector_weights import load_detector
from monai_seg.networks.feature_pyramid import SMALL, DetectorNorm, FeaturePyramid

# torchvision puts columns first in a box, MONAI rows; labels begin at 1 there, as 0 is the background.
_SWAPPED = [1, 0, 3, 2]


class MaskRCNN(nn.Module):
    """Find the instances of a 2D image, each with its box, class, score and mask.

    **Training mode** takes targets and gives the losses by name: ``objectness``, ``rpn_box``, ``classifier``, ``box``
    and ``mask``. Their sum is what the network was published with. A batch without any object trains too.

    **Evaluation mode** gives a dictionary for each image: ``box``, ``label``, ``label_scores`` and ``mask``, the best
    score first. Boxes are decoded in float32, also where the network computes in bfloat16, whose steps are a pixel
    wide from 128 on.

    **Input**: images scaled to [0, 1]; the network normalises them itself (buffers ``image_mean`` and ``image_std``),
    and pads a batch of images of several sizes. Nothing is resized.

    Args:
        in_channels: of the images. A pretrained stem is kept for any number, see `adapt_stem`.
        num_classes: of objects, without background.
        backbone: ``"small"``, for training from scratch on a CPU, or ``"resnet18"`` to ``"resnet152"``.
        pretrained: weights of the ResNet, by torchvision's name or as a file; None: random ones.
        pretrained_detector: weights of torchvision's ``maskrcnn_resnet50_fpn`` (``heads="v1"``) or ``..._v2``, by name
            (``COCO_V1``) or as a file; what depends on the classes is made anew. None: random ones.
        norm: of a ResNet: ``"frozen_batch"`` with pretrained weights, ``"batch"``, or ``"group"`` from scratch.
        frozen_stages: of a ResNet that do not train, 0 to 5.
        heads: ``"v1"`` or ``"v2"`` of torchvision: four convolutions before the box, deeper proposals, batch norm.
        fpn_channels: of each level of the pyramid; 256 in torchvision.
        head_channels: of the fully connected layers before the box; 1024 in torchvision.
        anchor_sizes: side of the anchors of each level in pixels, finest first; `anchor_sizes` of `monai_seg.data`
            finds them from the boxes of a data set.
        anchor_ratios: height over width of the anchors of each size.
        proposals: kept of an image for the second stage.
        rois_per_image: proposals of an image that train the second stage, a quarter of them objects.
        score_thresh: detections below it are left out.
        nms_thresh: of two detections of a class that overlap more (IoU), the better one stays.
        detections_per_image: at most.
        mask_threshold: probability from which a pixel belongs to the object.

    Attributes:
        score_threshold: from which an object is reported, chosen on the validation section and kept with the weights.
            What the network gives goes further down, to ``score_thresh``, as curves and average precision need.

    Shape:
        images ``(B, C, H, W)`` or a list of ``(C, H, W)``; targets a list of ``box`` ``(N, 4)``, ``label`` ``(N,)``
        from 0 on and ``mask`` ``(N, H, W)``. Gives scalars; or ``box`` ``(M, 4)`` float32, ``label`` ``(M,)`` int64,
        ``label_scores`` ``(M,)`` float32, ``mask`` ``(M, H, W)`` uint8. A box holds edges, ``(top, left, bottom,
        right)``: one of rows 2 to 5 goes from 2 to 6.

    Raises:
        ValueError: an option is impossible; images hold NaN or another number of channels; targets lack in training,
            differ from the images in number or size, or have a label of no class.
        WeightsUnavailableError, WeightsMismatchError: see `load_pretrained`.

    Source:
        arXiv:1703.06870; v2: arXiv:2111.11429. Tests compare with torchvision's own network.
    """

    score_threshold: torch.Tensor

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 1,
        backbone: str = SMALL,
        pretrained: str | Path | None = None,
        pretrained_detector: str | Path | None = None,
        norm: DetectorNorm = "group",
        frozen_stages: int = 0,
        heads: Literal["v1", "v2"] = "v1",
        fpn_channels: int = 64,
        head_channels: int = 256,
        anchor_sizes: Sequence[float] = (12, 24, 48, 96),
        anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        proposals: int = 200,
        rois_per_image: int = 64,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_image: int = 100,
        mask_threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.register_buffer("score_threshold", torch.tensor(0.5))
        if num_classes < 1 or in_channels < 1:
            raise ValueError(f"in_channels is {in_channels}, num_classes {num_classes}; give 1 or more of each")
        if heads not in ("v1", "v2"):
            raise ValueError(f"heads is {heads!r}; give v1 or v2")
        self.in_channels, self.num_classes = in_channels, num_classes
        pyramid = FeaturePyramid(
            backbone, in_channels, fpn_channels, pretrained, norm, frozen_stages, pyramid_norm=heads == "v2"
        )
        if len(anchor_sizes) != pyramid.level_count:
            raise ValueError(
                f"anchor_sizes is {tuple(anchor_sizes)}; the backbone {backbone} has {pyramid.level_count} levels: "
                "give one size for each"
            )
        self.detector = TorchvisionMaskRCNN(
            pyramid,
            rpn_anchor_generator=AnchorGenerator(
                tuple((float(size),) for size in anchor_sizes), (tuple(anchor_ratios),) * len(anchor_sizes)
            ),
            rpn_pre_nms_top_n_train=2 * proposals,
            rpn_pre_nms_top_n_test=2 * proposals,
            rpn_post_nms_top_n_train=proposals,
            rpn_post_nms_top_n_test=proposals,
            box_batch_size_per_image=rois_per_image,
            box_score_thresh=score_thresh,
            box_nms_thresh=nms_thresh,
            box_detections_per_img=detections_per_image,
            box_roi_pool=_roi_pool(pyramid, 7),
            mask_roi_pool=_roi_pool(pyramid, 14),
            **_heads(heads, fpn_channels, head_channels, len(anchor_ratios), num_classes + 1),
        )
        self.detector.transform = PaddedImages(pyramid.mean, pyramid.std, mask_threshold)
        if pretrained_detector:
            self._start_from(pretrained_detector, backbone, heads)
        for head in (self.detector.rpn.head, self.detector.roi_heads.box_predictor):
            head.register_forward_hook(in_float32)
        self.detector.roi_heads.mask_predictor.register_forward_hook(in_float32)

    def forward(
        self,
        images: torch.Tensor | Sequence[torch.Tensor],
        targets: Sequence[Mapping[str, torch.Tensor]] | None = None,
    ) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        pictures, wanted = images_and_targets(
            images, targets if self.training else None, self.in_channels, self.num_classes, 2, self.training
        )
        if self.training:
            losses = self.detector(pictures, [_torchvision_target(target) for target in wanted])
            return {_LOSS_NAMES[name]: loss for name, loss in losses.items()}
        return [
            {
                "box": found["boxes"][:, _SWAPPED],
                "label": found["labels"] - 1,
                "label_scores": found["scores"],
                "mask": found["masks"],
            }
            for found in self.detector(pictures)
        ]

    def parameter_groups(self, encoder_lr: float, decoder_lr: float) -> list[dict[str, Any]]:
        """Two groups for an optimiser: the ResNet, and all that is new; frozen parameters are in neither.

        Args:
            encoder_lr: of the ResNet, often a tenth of the other one where it is pretrained.
            decoder_lr: of pyramid and heads.
        """
        body = {id(parameter) for parameter in self.detector.backbone.body.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {"name": "encoder", "params": [p for p in trained if id(p) in body], "lr": encoder_lr},
            {"name": "decoder", "params": [p for p in trained if id(p) not in body], "lr": decoder_lr},
        ]

    def _start_from(self, pretrained: str | Path, backbone: str, heads: str) -> None:
        architecture = "maskrcnn_resnet50_fpn" + ("_v2" if heads == "v2" else "")
        if backbone == SMALL:
            raise ValueError(f"pretrained_detector is of {architecture}; give backbone: resnet50 with it")
        weights = load_detector(self.detector, pretrained, architecture)
        self.detector.transform.set_statistics(weights.mean, weights.std)


_LOSS_NAMES = {
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "rpn_box",
    "loss_classifier": "classifier",
    "loss_box_reg": "box",
    "loss_mask": "mask",
}


def _torchvision_target(target: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        "boxes": target["box"][:, _SWAPPED].float(),
        "labels": target["label"].long() + 1,
        "masks": target["mask"].to(torch.uint8),
    }


def _roi_pool(pyramid: FeaturePyramid, size: int) -> MultiScaleRoIAlign:
    names = [str(level) for level in range(pyramid.level_count - 1)]
    return MultiScaleRoIAlign(featmap_names=names, output_size=size, sampling_ratio=2)


def _heads(heads: str, channels: int, head_channels: int, ratio_count: int, label_count: int) -> dict[str, nn.Module]:
    """What the two versions of torchvision's network differ in, at any width."""
    second = heads == "v2"
    norm = nn.BatchNorm2d if second else None
    if second:
        box_head: nn.Module = FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [head_channels], norm)
    else:
        box_head = TwoMLPHead(channels * 7 * 7, head_channels)
    return {
        "rpn_head": RPNHead(channels, ratio_count, conv_depth=2 if second else 1),
        "box_head": box_head,
        "box_predictor": FastRCNNPredictor(head_channels, label_count),
        "mask_head": MaskRCNNHeads(channels, [channels] * 4, 1, norm),
        "mask_predictor": MaskRCNNPredictor(channels, channels, label_count),
    }
