"""Of which kind each argument of a component is: a stranger's configuration gives plain values within bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any


class Component:
    """Stands for a nested component, which is looked at on its own."""


COMPONENT = Component()
_DOTTED = re.compile(r"[^\W\d]\w*(\.\w+)+")
_MOST_ITEMS, _MOST_LETTERS = 256, 80
_MOST_CHANNELS, _MOST_PIXELS, _MOST_VOXELS = 8192, 16384, 1 << 28


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_CHANNELS


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= _MOST_PIXELS


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_word(value: Any) -> bool:
    # MONAI takes text such as "os.system" for the callable where an argument may be one.
    return isinstance(value, str) and len(value) <= _MOST_LETTERS and not _DOTTED.fullmatch(value) and "/" not in value


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "flag": (_is_flag, "true or false"),
    "count": (_is_count, f"a whole number from 0 to {_MOST_CHANNELS:,}"),
    "length": (_is_length, f"pixels, from -1 to {_MOST_PIXELS:,}"),
    "number": (_is_number, "a finite number"),
    "word": (_is_word, "a word"),
}
_ARGUMENTS = {
    "flag": "allow_missing_keys reverse_indexing ensure_channel_first image_only track_meta anti_aliasing "
    "align_corners scale_extent channel_wise clip relative nonzero sigmoid softmax is_onehot independent "
    "independent_channels nearest_interp bias deep_supervision enabled",
    "count": "in_channels out_channels num_classes features decoder_channels fpn_channels head_channels proposals "
    "mask_copies rois_per_image detections_per_image matching_candidates masks_per_batch spatial_dims stem_stride "
    "head to_onehot applied_labels min_size connectivity sw_batch_size frozen_stages spatial_axis axes",
    "length": "spatial_size roi_size k image_size",
    "number": "pixdim minv maxv factor a_min a_max b_min b_max lower upper subtrahend divisor value threshold overlap "
    "dropout mask_jitter anchor_sizes anchor_ratios score_thresh nms_thresh mask_threshold mask_context",
    "word": "keys orig_keys reader channel_dim dtype axcodes labels size_mode mode padding_mode method rounding act "
    "norm upsample encoder backbone architecture stem heads",
}
_KIND_OF = {name: kind for kind, names in _ARGUMENTS.items() for name in names.split()}
# One argument of MONAI has several kinds: an axis or "no_channel", a flag or a class for each channel.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "channel_dim": ("count",),
    "argmax": ("flag",),
    "dropout": ("word",),
    "act": ("number", "flag"),
    "norm": ("number", "flag"),
    "padding_mode": ("number",),
    "heads": ("count",),
}


def wrong_argument(name: str, value: Any) -> str:
    """What is expected of an argument instead of this value; "" where it is right.

    Args:
        name: of the argument.
        value: plain Python values, with `COMPONENT` for each component in it.
    """
    kinds = [kind for kind in (_KIND_OF.get(name), *_ALSO.get(name, ())) if kind]
    if not kinds:
        return "" if value is COMPONENT or _is_nested(value) else "components"
    flat = list(_leaves(value))
    if len(flat) > _MOST_ITEMS:
        return f"{_MOST_ITEMS} values at most"
    for leaf in flat:
        if leaf is not None and not any(_KINDS[kind][0](leaf) for kind in kinds):
            return " or ".join(_KINDS[kind][1] for kind in kinds)
    if name in ("spatial_size", "roi_size") and math.prod(abs(leaf) for leaf in flat if leaf) > _MOST_VOXELS:
        return f"{_MOST_VOXELS:,} pixels or voxels at most"
    return ""


def _leaves(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    else:
        yield value


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(item is COMPONENT for item in value)
