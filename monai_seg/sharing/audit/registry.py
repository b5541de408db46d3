"""What a bundle of data alone may name: components by their exact names, each with the arguments that it may get.

A prefix would not do: ``monai.bundle.scripts.os.mknod`` begins like a friend. A name that is not here may be harmless;
it needs trust all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_seg.sharing.audit.arguments import wrong_argument


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The one reference that data alone may hold: what is inverted after a prediction is what was done before.
KEPT_REFERENCES = ("@preprocessing",)
READERS = ("PILReader", "NibabelReader", "ITKReader", "monai_seg.data.RGBReader")
_SPATIAL = _words("spatial_size size_mode mode anti_aliasing align_corners roi_size k spatial_axis pixdim axcodes")
_DETECTOR = _words(
    "in_channels num_classes backbone norm fpn_channels anchor_sizes anchor_ratios score_thresh nms_thresh "
    "detections_per_image frozen_stages"
)
_RETINA = _words("spatial_dims stem_stride matching_candidates")
_KEYED = frozenset({"keys", "allow_missing_keys"})

COMPONENTS: Mapping[str, frozenset[str]] = {
    "monai.transforms.Compose": frozenset({"transforms"}),
    "monai.transforms.LoadImaged": _KEYED | {"reader", "reverse_indexing", "ensure_channel_first", "image_only"},
    "monai.transforms.EnsureChannelFirstd": _KEYED | {"channel_dim"},
    "monai.transforms.EnsureTyped": _KEYED | {"dtype", "track_meta"},
    "monai.transforms.Orientationd": _KEYED | _SPATIAL | {"labels"},
    "monai.transforms.Spacingd": _KEYED | _SPATIAL | {"padding_mode", "scale_extent"},
    "monai.transforms.Resized": _KEYED | _SPATIAL,
    "monai.transforms.SpatialPadd": _KEYED | _SPATIAL | {"method", "value"},
    "monai.transforms.DivisiblePadd": _KEYED | _SPATIAL | {"method", "value"},
    "monai.transforms.ScaleIntensityd": _KEYED | {"minv", "maxv", "factor", "channel_wise"},
    "monai.transforms.ScaleIntensityRanged": _KEYED | {"a_min", "a_max", "b_min", "b_max", "clip"},
    "monai.transforms.ScaleIntensityRangePercentilesd": _KEYED
    | {"lower", "upper", "b_min", "b_max", "clip", "relative", "channel_wise"},
    "monai.transforms.NormalizeIntensityd": _KEYED | {"subtrahend", "divisor", "nonzero", "channel_wise"},
    "monai.transforms.Invertd": _KEYED | {"orig_keys", "transform", "nearest_interp"},
    "monai.transforms.Activationsd": _KEYED | {"sigmoid", "softmax"},
    "monai.transforms.AsDiscreted": _KEYED | {"argmax", "to_onehot", "threshold", "rounding"},
    "monai.transforms.KeepLargestConnectedComponentd": _KEYED | {"applied_labels", "is_onehot", "independent"},
    "monai.transforms.KeepLargestConnectedComponent": _words("applied_labels is_onehot independent connectivity"),
    "monai.transforms.RemoveSmallObjects": _words("min_size connectivity independent_channels"),
    "monai.inferers.SimpleInferer": frozenset(),
    "monai.inferers.SlidingWindowInferer": _words("roi_size sw_batch_size overlap mode padding_mode"),
    "monai.networks.nets.BasicUNet": _words(
        "spatial_dims in_channels out_channels features act norm bias dropout upsample"
    ),
    "monai_seg.engines.MirrorAverage": frozenset({"enabled", "axes"}),
    "monai_seg.networks.UNetPlusPlus": _words(
        "spatial_dims in_channels out_channels features act norm bias dropout upsample deep_supervision head"
    ),
    "monai_seg.networks.ResNet50UNet": _words(
        "in_channels out_channels encoder norm decoder_channels dropout frozen_stages deep_supervision"
    ),
    "monai_seg.networks.MaskRCNN": _DETECTOR | _words("heads head_channels proposals rois_per_image mask_threshold"),
    "monai_seg.networks.RetinaNet": _DETECTOR | _RETINA,
    "monai_seg.networks.RetinaMask": _DETECTOR
    | _RETINA
    | _words("mask_threshold mask_context mask_copies mask_jitter masks_per_batch"),
    "monai_seg.networks.make_classifier": _words("architecture in_channels num_classes image_size dropout stem"),
    "monai_seg.transforms.EdgeTrueResized": _KEYED | _SPATIAL,
    "monai_seg.transforms.EachClassd": _KEYED | {"transform"},
    "monai_seg.transforms.RestoreInstancesd": _KEYED,
}


def wrong_component(target: str, arguments: Mapping[str, Any]) -> str:
    """Why a component is not one of those that data alone may name; "" where it is.

    Args:
        target: its ``_target_``.
        arguments: its other keys, as plain values; nested components, which are looked at on their own, are
            `COMPONENT`.
    """
    if target not in COMPONENTS:
        return f"{target} is no component that data alone may name"
    strange = sorted(arguments.keys() - COMPONENTS[target])
    if strange:
        return f"{target} may not be given {', '.join(strange)}"
    readers = arguments.get("reader", READERS[0])
    if readers is not None and readers not in READERS:
        return f"{target} may not read by {readers}"
    for name, value in arguments.items():
        expected = "" if name == "reader" or value in KEPT_REFERENCES else wrong_argument(name, value)
        if expected:
            return f"{target} may not be given {name}: {str(value)[:60]}; expected {expected}"
    return ""
