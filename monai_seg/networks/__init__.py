"""Networks and their pretrained weights. Names load their file on first use, so that starting up stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.networks.classifier import Classifier
    from monai_seg.networks.classifier_ensemble import ClassifierEnsemble, make_classifier
    from monai_seg.networks.compact_cnn import CompactCNN
    from monai_seg.networks.encoder import ResNetEncoder
    from monai_seg.networks.feature_pyramid import FeaturePyramid, SmallResNet
    from monai_seg.networks.mask_rcnn import MaskRCNN
    from monai_seg.networks.pretrained import PretrainedWeights, load_pretrained, read_pretrained
    from monai_seg.networks.resnet_unet import ResNet50UNet
    from monai_seg.networks.retina_mask import RetinaMask
    from monai_seg.networks.retina_net import RetinaNet
    from monai_seg.networks.unet_plus_plus import UNetPlusPlus
    from monai_seg.networks.weight_errors import WeightsMismatchError, WeightsUnavailableError

_HOMES = {
    "Classifier": "classifier",
    "ClassifierEnsemble": "classifier_ensemble",
    "CompactCNN": "compact_cnn",
    "FeaturePyramid": "feature_pyramid",
    "MaskRCNN": "mask_rcnn",
    "PretrainedWeights": "pretrained",
    "ResNet50UNet": "resnet_unet",
    "ResNetEncoder": "encoder",
    "RetinaMask": "retina_mask",
    "RetinaNet": "retina_net",
    "SmallResNet": "feature_pyramid",
    "UNetPlusPlus": "unet_plus_plus",
    "WeightsMismatchError": "weight_errors",
    "WeightsUnavailableError": "weight_errors",
    "load_pretrained": "pretrained",
    "make_classifier": "classifier_ensemble",
    "read_pretrained": "pretrained",
}

__all__ = [
    "Classifier",
    "ClassifierEnsemble",
    "CompactCNN",
    "FeaturePyramid",
    "MaskRCNN",
    "PretrainedWeights",
    "ResNet50UNet",
    "ResNetEncoder",
    "RetinaMask",
    "RetinaNet",
    "SmallResNet",
    "UNetPlusPlus",
    "WeightsMismatchError",
    "WeightsUnavailableError",
    "load_pretrained",
    "make_classifier",
    "read_pretrained",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
