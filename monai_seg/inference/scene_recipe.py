"""What a bundle's inference.yaml says of a scene: the ids of its `inferring` workflow, read instead of run.

There is no second recipe for scenes. `preprocessing` says how a tile is normalised (see `tile_preprocessing`),
`inferer` how the scene is cut into tiles, `postprocessing` how logits become a label map. What one of them does
beyond that is refused, so that a scene is never predicted in another way than an image.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    Invertd,
    KeepLargestConnectedComponent,
    RemoveSmallObjects,
)
from monai.utils import ensure_tuple_rep

from monai_seg.inference.scene_cleaning import SceneCleaning
from monai_seg.inference.scene_prediction import Decision
from monai_seg.inference.streamed import Window
from monai_seg.inference.tile_preprocessing import NotStreamableError
from monai_seg.transforms.each_class import EachClassd

_KEY = "pred"
# MONAI's own joins objects of several classes, or leaves the first class out; see `EachClass`.
_BY_CLASS = ", where classes are not told apart\n  mend   hold {0} in monai_seg.transforms.EachClassd"


def window_of(inferer: Any) -> Window:
    """The tiles of a bundle's ``inferer``.

    Raises:
        NotStreamableError: it is no sliding window over height and width.
    """
    if type(inferer) is not SlidingWindowInferer:
        raise NotStreamableError(f"the bundle's inferer is a {type(inferer).__name__}, no SlidingWindowInferer")
    if isinstance(inferer.roi_size, Sequence) and len(inferer.roi_size) != 2:
        raise NotStreamableError(f"the bundle's windows have {len(inferer.roi_size)} axes, a scene has two")
    try:
        return Window(
            roi_size=_pair(inferer.roi_size),
            overlap=_pair(inferer.overlap),
            mode=str(getattr(inferer.mode, "value", inferer.mode)),
            sigma_scale=_pair(inferer.sigma_scale),
            padding_mode=str(getattr(inferer.padding_mode, "value", inferer.padding_mode)),
            cval=float(inferer.cval),
            batch_size=inferer.sw_batch_size,
        )
    except ValueError as error:
        raise NotStreamableError(f"the bundle's inferer: {error}") from error


def decision_of(postprocessing: Any, threshold: float | None = None) -> Decision:
    """How a bundle's ``postprocessing`` makes labels of logits.

    Args:
        postprocessing: a Compose or a single transform.
        threshold: probability to take instead of the bundle's.

    Raises:
        NotStreamableError: it does not say, or the bundle takes the most likely class and has no threshold.
        ValueError: the threshold is no probability.
    """
    steps = _steps(postprocessing)
    discretes = [step for step in steps if isinstance(step, AsDiscreted) and _KEY in step.keys]
    if len(discretes) != 1:
        raise NotStreamableError("the bundle's postprocessing does not hold one AsDiscreted for pred")
    place = list(discretes[0].keys).index(_KEY)
    own, is_argmax = discretes[0].threshold[place], discretes[0].argmax[place]
    if discretes[0].to_onehot[place] is not None:
        raise NotStreamableError("AsDiscreted of the bundle's postprocessing makes channels of a label map (to_onehot)")
    if is_argmax and threshold is not None:
        raise NotStreamableError("the bundle takes the most likely class; a threshold is for bundles with a sigmoid")
    if is_argmax == (own is not None):
        amount = "both argmax and threshold" if is_argmax else "neither argmax nor threshold"
        raise NotStreamableError(f"AsDiscreted of the bundle's postprocessing has {amount}")
    activations = [step for step in steps if isinstance(step, Activationsd) and _KEY in step.keys]
    is_sigmoid = any(step.sigmoid[list(step.keys).index(_KEY)] for step in activations)
    if is_argmax:
        return Decision("sigmoid" if is_sigmoid else "softmax")
    if not is_sigmoid:
        raise NotStreamableError("the bundle's threshold is not one of a sigmoid's probability")
    return Decision("sigmoid", own if threshold is None else threshold)


def keeps_channels(postprocessing: Any) -> bool:
    """Whether a bundle's ``postprocessing`` makes a mask of each channel instead of one label map of all."""
    steps = [step for step in _steps(postprocessing) if isinstance(step, AsDiscreted) and _KEY in step.keys]
    places = [(step, list(step.keys).index(_KEY)) for step in steps]
    return bool(places) and not any(step.argmax[place] for step, place in places)


def set_threshold(postprocessing: Any, threshold: float) -> None:
    """Put another threshold into a bundle's ``postprocessing``; `decision_of` refuses where there is none."""
    for step in _steps(postprocessing):
        if isinstance(step, AsDiscreted) and _KEY in step.keys:
            step.threshold[list(step.keys).index(_KEY)] = threshold


def cleaning_of(postprocessing: Any, is_multi_label: bool = False) -> SceneCleaning:
    """What a bundle's ``postprocessing`` does to a label map, or to each mask of classes that may overlap.

    Args:
        postprocessing: a Compose or a single transform.
        is_multi_label: its prediction is masks of several classes.

    Raises:
        NotStreamableError: it does something that is not done here exactly so.
    """
    cleaning, is_one_class = SceneCleaning(), decision_of(postprocessing).threshold is not None and not is_multi_label
    named: int | None = None
    for step in _steps(postprocessing):
        if isinstance(step, (Activationsd, AsDiscreted, Invertd)):
            continue  # what the pixelwise preprocessing of a scene does needs no inversion
        own, is_by_class = _array_form(step), isinstance(step, EachClassd)
        if isinstance(own, RemoveSmallObjects) and (is_one_class or is_by_class) and not cleaning:
            connectivity = own.connectivity
            if own.by_measure:
                raise NotStreamableError("RemoveSmallObjectsd by measure: a scene knows no size of a pixel")
            cleaning = replace(cleaning, min_object_size=_smallest_kept(own))
        elif (
            isinstance(own, KeepLargestConnectedComponent)
            and (not is_multi_label or is_by_class)
            and not cleaning.largest_component
        ):
            connectivity = own.connectivity or 2
            if own.applied_labels is not None or own.num_components != 1 or own.is_onehot:
                raise NotStreamableError("KeepLargestConnectedComponentd with chosen labels or several components")
            cleaning = replace(cleaning, largest_component="each" if own.independent or is_by_class else "all")
        else:
            mend = "" if own is None or is_by_class or is_one_class else _BY_CLASS.format(type(own).__name__)
            raise NotStreamableError(f"the bundle's postprocessing holds {type(step).__name__} at this place{mend}")
        if named not in (None, connectivity):
            raise NotStreamableError("the steps of the bundle's postprocessing differ in connectivity")
        named = connectivity
    return replace(cleaning, connectivity=named or 2)


def _array_form(step: Any) -> Any:
    """The transform that a step applies to a label map; None where it is none that a scene knows."""
    own = step.converter.transform if isinstance(step, EachClassd) else getattr(step, "converter", None)
    return own if isinstance(own, (RemoveSmallObjects, KeepLargestConnectedComponent)) else None


def _smallest_kept(removal: RemoveSmallObjects) -> int:
    """Pixels of the smallest object that stays; scikit-image from 0.26 on takes ``min_size`` itself away from MONAI."""
    size = int(removal.min_size)
    line = torch.zeros(1, 3, size + 2)
    line[0, 1, 1 : size + 1] = 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*min_size.*", category=FutureWarning)
        return size if removal(line).any() else size + 1


def _steps(postprocessing: Any) -> list[Callable]:
    steps = postprocessing.transforms if isinstance(postprocessing, Compose) else [postprocessing]
    return [step for step in steps if step is not None]


def _pair(value: Any) -> Any:
    return tuple(ensure_tuple_rep(value, 2))
