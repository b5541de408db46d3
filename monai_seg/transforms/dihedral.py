"""The eight ways to lay a square on itself, exact: fixed (`Dihedral`) and drawn at random (`RandDihedrald`)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, LazyTransform, MapTransform, RandomizableTransform
from monai.transforms.inverse import TraceableTransform
from monai.utils.enums import TraceKeys
from monai.utils.type_conversion import convert_to_tensor

REVERSE_FIRST, REVERSE_SECOND, TRANSPOSE = 1, 2, 4
SYMMETRIES = range(8)
SHAPE_KEEPING = tuple(symmetry for symmetry in SYMMETRIES if not symmetry & TRANSPOSE)


def inverse_symmetry(symmetry: int) -> int:
    """The symmetry that undoes one: itself, but for the two quarter turns, which undo each other."""
    return {5: 6, 6: 5}.get(symmetry, symmetry)


class Dihedral(InvertibleTransform, LazyTransform):
    """Reverse and transpose two spatial axes; no value is interpolated.

    MONAI makes the same eight from two transforms, `Flip` and `Rotate90`; here they are one, which leaves one record
    to invert, and whose affine has no rounding of a cosine.

    Args:
        symmetry: a number from 0 (nothing) to 7: the sum of 1 (reverse the first axis), 2 (reverse the second one) and
            4 (then swap both). So 3 is a half turn, 4 the transpose, 6 the quarter turn of `torch.rot90` and 5 its
            inverse.
        spatial_axes: first and second axis of the plane, negative ones count from the last.
        lazy: whether to wait for MONAI's lazy resampling.

    Shape:
        image ``(C, H, W[, D])``. From 4 on the sizes of the two axes change places.
    """

    def __init__(self, symmetry: int, spatial_axes: tuple[int, int] = (0, 1), lazy: bool = False) -> None:
        LazyTransform.__init__(self, lazy=lazy)
        if symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry is {symmetry}; give a number from 0 to 7")
        self.symmetry, self.spatial_axes = symmetry, spatial_axes

    def __call__(self, image: torch.Tensor, lazy: bool | None = None) -> torch.Tensor:
        return apply_symmetry(
            image, self.symmetry, self.spatial_axes, self.lazy if lazy is None else lazy, self.get_transform_info()
        )

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Undo what was applied last, which must have been this transform."""
        return undo(data, self.pop_transform(data))


class RandDihedrald(RandomizableTransform, MapTransform, InvertibleTransform, LazyTransform):
    """Draw one of the eight symmetries, all equally often, and apply it to the images and masks of a sample.

    ``Dihedral(**sample["dihedral"])`` gives the same again; `Invertd` undoes it.

    Args:
        keys: of images and masks of one size.
        spatial_axes: the plane; (0, 1) is the whole image in 2D, and the first two axes of a volume.
        keep_shape: where the plane is not square, draw only from the four symmetries that leave its shape: nothing,
            both reflections and the half turn. Otherwise half of the draws swap height and width, so that a batch of
            images of one size cannot be stacked any more.
        parameters_key: where the drawn parameters go.
        allow_missing_keys: whether an image may be missing.
        lazy: whether to wait for MONAI's lazy resampling.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_axes: tuple[int, int] = (0, 1),
        keep_shape: bool = False,
        parameters_key: str = "dihedral",
        allow_missing_keys: bool = False,
        lazy: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        LazyTransform.__init__(self, lazy=lazy)
        self.spatial_axes, self.keep_shape, self.parameters_key = spatial_axes, keep_shape, parameters_key
        self.symmetry = 0

    def randomize(self, data: torch.Tensor | None) -> None:
        super().randomize(None)
        choices: Any = SYMMETRIES
        if self.keep_shape and data is not None:
            shape = spatial_shape(data)
            first, second = plane(len(shape), self.spatial_axes)
            choices = SYMMETRIES if shape[first] == shape[second] else SHAPE_KEEPING
        self.symmetry = choices[self.R.randint(len(choices))]

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        sample = dict(data)
        present = list(self.key_iterator(sample))
        self.randomize(sample[present[0]] if present else None)
        for key in present:
            lazily = self.lazy if lazy is None else lazy
            sample[key] = apply_symmetry(
                sample[key], self.symmetry, self.spatial_axes, lazily, self.get_transform_info()
            )
        drawn = {"symmetry": self.symmetry, "spatial_axes": tuple(self.spatial_axes)}
        return sample | {self.parameters_key: drawn}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo the symmetry of each image that carries its record."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            if isinstance(sample[key], MetaTensor):
                sample[key] = undo(sample[key], self.pop_transform(sample[key]))
        return sample


def apply_symmetry(
    image: torch.Tensor, symmetry: int, spatial_axes: tuple[int, int], lazy: bool, transform_info: dict[str, Any]
) -> torch.Tensor:
    """Apply a symmetry now, or note it for later, and record it as ``transform_info`` says."""
    image = convert_to_tensor(image, track_meta=get_track_meta())
    shape = spatial_shape(image)
    axes = plane(len(shape), spatial_axes)
    rank = int(image.peek_pending_rank()) if isinstance(image, MetaTensor) else len(shape)
    record = TraceableTransform.track_transform_meta(
        image,
        sp_size=symmetric_shape(shape, symmetry, axes),
        affine=index_affine(shape, symmetry, axes, rank),
        extra_info={"symmetry": symmetry, "axes": axes},
        orig_size=shape,
        transform_info=transform_info,
        lazy=lazy,
    )
    values = image.as_tensor() if isinstance(image, MetaTensor) else image
    if not lazy:
        reverse = [axis + 1 for axis, bit in zip(axes, (REVERSE_FIRST, REVERSE_SECOND), strict=True) if symmetry & bit]
        values = torch.flip(values, reverse)
        if symmetry & TRANSPOSE:
            values = values.transpose(axes[0] + 1, axes[1] + 1).contiguous()
    if not isinstance(image, MetaTensor):
        return values
    return MetaTensor(values).copy_meta_from(record)


def undo(image: torch.Tensor, record: Mapping[str, Any]) -> torch.Tensor:
    """Apply the inverse of a recorded symmetry, without a record."""
    extra = record[TraceKeys.EXTRA_INFO]
    return apply_symmetry(image, inverse_symmetry(int(extra["symmetry"])), tuple(extra["axes"]), False, {})


def spatial_shape(image: torch.Tensor) -> tuple[int, ...]:
    """Size along the spatial axes, after what is pending."""
    shape = image.peek_pending_shape() if isinstance(image, MetaTensor) else image.shape[1:]
    return tuple(int(size) for size in shape)


def plane(dimensions: int, spatial_axes: tuple[int, int]) -> tuple[int, int]:
    """The two axes counted from the first."""
    if len(spatial_axes) != 2 or not all(-dimensions <= axis < dimensions for axis in spatial_axes):
        raise ValueError(f"spatial_axes is {spatial_axes}; give two of the {dimensions} spatial axes of the image")
    first, second = (int(axis) % dimensions for axis in spatial_axes)
    if first == second:
        raise ValueError(f"spatial_axes is {spatial_axes}, twice the same; give two different axes")
    return first, second


def symmetric_shape(shape: tuple[int, ...], symmetry: int, axes: tuple[int, int]) -> tuple[int, ...]:
    sizes = list(shape)
    if symmetry & TRANSPOSE:
        sizes[axes[0]], sizes[axes[1]] = sizes[axes[1]], sizes[axes[0]]
    return tuple(sizes)


def index_affine(shape: tuple[int, ...], symmetry: int, axes: tuple[int, int], rank: int) -> torch.Tensor:
    """From indices of the result to indices of the image ``(rank + 1, rank + 1)``, float64."""
    reverse, swap = torch.eye(rank + 1, dtype=torch.float64), torch.eye(rank + 1, dtype=torch.float64)
    for axis, bit in zip(axes, (REVERSE_FIRST, REVERSE_SECOND), strict=True):
        if symmetry & bit:
            reverse[axis, axis], reverse[axis, -1] = -1, shape[axis] - 1
    if symmetry & TRANSPOSE:
        swap[list(axes)] = swap[[axes[1], axes[0]]]
    return reverse @ swap
