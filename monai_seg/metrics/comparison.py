"""What is found on the way from two masks to a metric, found once for all metrics that ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch
from monai.data import MetaTensor

from monai_seg.metrics.masks import MaskError, MaskPair, mask_pair
from monai_seg.metrics.overlap_counts import OverlapCounts, overlap_counts
from monai_seg.metrics.tensor_memory import found_on

Masks = torch.Tensor | Sequence[torch.Tensor]
Spacing = float | Sequence[float] | Sequence[Sequence[float]] | None
Found = TypeVar("Found")


class Comparison:
    """Predictions and references of a batch, and all that several metrics need of them, each found when first asked.

    Args:
        masks: the batch.
        voxels: for each case the size of a voxel in mm: one number, one for each axis, or an affine matrix.
    """

    def __init__(self, masks: MaskPair, voxels: Sequence) -> None:
        self.masks, self._voxels = masks, voxels
        self._found: dict = {}

    @cached_property
    def spacing(self) -> list[tuple[float, ...]]:
        """Size of a voxel along each axis, in mm, for each case; worked out late, since many metrics need none."""
        if len(self._voxels) != self.masks.batch:
            raise MaskError(
                f"the reference has the affines of {len(self._voxels)} cases for {self.masks.batch}; give the spacing"
            )
        return [_per_axis(each, self.masks.prediction.ndim - 1) for each in self._voxels]

    @cached_property
    def counts(self) -> OverlapCounts:
        """How many voxels of each case and class are in both masks, in each, and in the image."""
        return overlap_counts(self.masks)

    @property
    def prediction_empty(self) -> torch.Tensor:
        """Where the predicted mask has no voxel: ``(B, C)``, bool."""
        return self.counts.predicted == 0

    @property
    def reference_empty(self) -> torch.Tensor:
        """Where the reference mask has no voxel: ``(B, C)``, bool."""
        return self.counts.referred == 0

    @cached_property
    def diagonal(self) -> torch.Tensor:
        """Length of the image's diagonal in mm, from outer corner to outer corner: ``(B, 1)``, float64."""
        shape = self.masks.prediction.shape[1:]
        lengths = [math.hypot(*(n * size for n, size in zip(shape, each, strict=True))) for each in self.spacing]
        return torch.tensor(lengths, dtype=torch.float64, device=self.masks.prediction.device)[:, None]

    @property
    def map_spacing(self) -> list[tuple[float, ...]]:
        """Size of a voxel of each label map: more than there are cases where channels overlap."""
        maps_of_case = self.masks.prediction.shape[0] // self.masks.batch
        return [size for size in self.spacing for _ in range(maps_of_case)]

    def once(self, make: Callable[..., Found], *arguments: object) -> Found:
        """``make(self, *arguments)``, made once for each set of arguments: what other modules find on a comparison."""
        key = (make, *arguments)
        if key not in self._found:
            self._found[key] = make(self, *arguments)
        return self._found[key]

    def knows(self, make: Callable[..., object], *arguments: object) -> bool:
        """Whether `once` has been asked for this before, so that it costs nothing."""
        return (make, *arguments) in self._found


def comparisons(
    prediction: Masks,
    reference: Masks,
    num_classes: int | None = None,
    include_background: bool = False,
    spacing: Spacing = None,
) -> list[Comparison]:
    """Comparisons of a batch, or of a list of cases: those of one shape together, in their order.

    They are kept as long as `found_on` tells, so that metrics which are called one after another on the same tensors
    share them.

    Args:
        prediction, reference, num_classes, include_background: as in `mask_pair`; lists hold tensors without B.
        spacing: size of a voxel in mm: one number, one for each axis, or one of these for each case. None takes that
            of the reference's affine, where it is a `MetaTensor`, and 1 elsewhere.

    Raises:
        MaskError: the masks do not fit each other, or the spacing does not fit them.
    """
    is_batch = isinstance(prediction, torch.Tensor)
    if is_batch != isinstance(reference, torch.Tensor):
        raise MaskError("one of prediction and reference is a list, the other a batch; give both in one form")
    tensors = [*_tensors(prediction), *_tensors(reference)]
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise MaskError(f"a mask is of type {type(tensor).__name__}; give tensors")
    if len(prediction) != len(reference):
        raise MaskError(f"{len(prediction)} predictions and {len(reference)} references; give one for each")
    if len(prediction) == 0:
        raise MaskError("the batch is empty")
    voxels = _affines(reference) if spacing is None else _for_each(_numbers(spacing), len(reference))
    found = found_on(tensors)
    key = (is_batch, num_classes, include_background, repr(voxels))
    known = found.get(key)
    if known is None:
        known, start = [], 0
        for predicted, referred in _batches(prediction, reference):
            masks = mask_pair(predicted, referred, num_classes, include_background)
            known.append(Comparison(masks, voxels[start : start + masks.batch]))
            start += masks.batch
        if spacing is not None:
            for comparison in known:
                comparison.spacing  # noqa: B018 - what was given is looked at now
        found[key] = known
    return known


def _tensors(masks: Masks) -> list[torch.Tensor]:
    return [masks] if isinstance(masks, torch.Tensor) else list(masks)


def _batches(predictions: Masks, references: Masks) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cases in their order; all in one batch if they have one shape, dtype and device, which saves kernel launches."""
    if isinstance(predictions, torch.Tensor) and isinstance(references, torch.Tensor):
        return [(predictions, references)]
    sides = [[_without_meta(masks) for masks in side] for side in (predictions, references)]
    if all(len({(masks.shape, masks.dtype, masks.device) for masks in side}) == 1 for side in sides):
        return [(torch.stack(sides[0]), torch.stack(sides[1]))]
    return [(predicted[None], referred[None]) for predicted, referred in zip(*sides, strict=True)]


def _without_meta(masks: torch.Tensor) -> torch.Tensor:
    return masks.as_tensor() if isinstance(masks, MetaTensor) else masks


def _affines(reference: Masks) -> list:
    """For each case the affine matrix, or 1 where there is none."""
    if not isinstance(reference, torch.Tensor):
        return [_numbers(each.affine) if isinstance(each, MetaTensor) else 1.0 for each in reference]
    if not isinstance(reference, MetaTensor):
        return [1.0] * len(reference)
    return _numbers(reference.affine) if reference.is_batch else [_numbers(reference.affine)] * len(reference)


def _for_each(spacing: Any, count: int) -> list:
    if not isinstance(spacing, list) or not any(isinstance(each, list) for each in spacing):
        return [spacing] * count
    if len(spacing) != count:
        raise MaskError(f"spacing is given for {len(spacing)} cases of {count}; give it for each, or one for all")
    return spacing


def _numbers(values: Any) -> Any:
    """Plain numbers in plain lists, whether they came in lists, arrays or tensors."""
    if isinstance(values, (list, tuple)):
        return [_numbers(each) for each in values]
    return values.tolist() if hasattr(values, "tolist") else values


def _per_axis(voxel: Any, axes: int) -> tuple[float, ...]:
    sizes = list(voxel) if isinstance(voxel, (list, tuple)) else [voxel]
    if sizes and isinstance(sizes[0], list):
        # Steps along the axes are the columns; the affine of a picture has a third one, which is left out. As in MONAI
        # a step of 0 is an axis that the file says nothing of.
        sizes = [math.hypot(*step) or 1.0 for step in zip(*sizes[:-1], strict=True)][: min(axes, len(sizes) - 1)]
    sizes = sizes * axes if len(sizes) == 1 else sizes
    if len(sizes) != axes or not all(isinstance(size, (int, float)) and 0 < size < math.inf for size in sizes):
        raise MaskError(f"spacing is {voxel}; give {axes} sizes of a voxel in mm, finite and greater than 0")
    return tuple(float(size) for size in sizes)
