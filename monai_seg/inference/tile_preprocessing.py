"""A bundle's own preprocessing, done band by band: its transforms, where they treat each pixel by itself.

The contract: `preprocessing` of inference.yaml begins with LoadImaged, which here stands for reading rows. Every
transform after it must give a pixel the same value whatever lies around it. Those named here do; a transform of
the bundle's own says so by an attribute ``is_pixelwise = True``. NormalizeIntensityd with the statistics of the
image has them measured over the whole scene first, in one more reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import PILReader
from monai.transforms import (
    CastToTyped,
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    NormalizeIntensityd,
    ScaleIntensityRanged,
)

from monai_seg.data.rgb_reader import RGBReader
from monai_seg.inference.row_progress import RowProgress
from monai_seg.inference.scene import Scene

_KEY = "image"
_PIXELWISE = (ScaleIntensityRanged, EnsureTyped, CastToTyped)
_BAND_PIXELS = 2**22


class NotStreamableError(ValueError):
    """A bundle does something that cannot be done to a part of a scene as it is done to the whole."""


class ValueRangeError(ValueError):
    """A file holds values that the bundle's preprocessing was not made for."""


class TilePreprocessing:
    """Normalise the rows of a scene as a bundle normalises whole images.

    ``reads_rgb`` says whether its pictures are colours, see `monai_seg.data.RGBReader`; scenes are opened alike.

    Args:
        transforms: of the bundle's ``preprocessing``.

    Raises:
        NotStreamableError: one of them needs more than the pixel itself.
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        if not transforms or not isinstance(transforms[0], LoadImaged):
            raise NotStreamableError("the bundle's preprocessing does not begin with LoadImaged")
        if not _keeps_rows(transforms[0]):
            raise NotStreamableError(
                "LoadImaged turns rows into columns or converts what it reads, which a scene cannot follow\n"
                "  mend   in inference.yaml give it reverse_indexing: false, and reader: PILReader or RGBReader"
            )
        self.reads_rgb = reads_rgb(transforms[0])
        self.transforms = [item for item in transforms[1:] if not isinstance(item, EnsureChannelFirstd)]
        for item in self.transforms:
            is_pixelwise = isinstance(item, (*_PIXELWISE, NormalizeIntensityd)) or getattr(item, "is_pixelwise", False)
            if not is_pixelwise:
                raise NotStreamableError(
                    f"the bundle's preprocessing holds {type(item).__name__}, which cannot be done tile by tile"
                )

    @classmethod
    def of(cls, preprocessing: Any) -> TilePreprocessing:
        """From a bundle's ``preprocessing``, a Compose or a single transform."""
        return cls(list(preprocessing.transforms) if isinstance(preprocessing, Compose) else [preprocessing])

    def refuse_values_beyond(self, values: np.ndarray) -> None:
        """Raise where values lie outside the range that the bundle scales from: they would be cut, or out of scale.

        Raises:
            ValueRangeError: names both ranges.
        """
        for item in self.transforms:
            if isinstance(item, ScaleIntensityRanged):
                _refuse_values_beyond(values, item.scaler.a_min, item.scaler.a_max)
            return  # what comes later does not see the values of the file

    def for_scene(self, scene: Scene) -> Callable[[int, int], torch.Tensor]:
        """What reads and normalises rows ``(C, n, W)`` of this scene, with the scene's statistics.

        Args:
            scene: of `open_scene`, with ``as_rgb`` where the bundle reads RGB.

        Raises:
            ValueRangeError: when it reads values that the preprocessing was not made for.
        """
        chain: list[Callable] = []
        for item in self.transforms:
            needs_statistics = isinstance(item, NormalizeIntensityd) and (
                item.normalizer.subtrahend is None or item.normalizer.divisor is None
            )
            chain.append(_with_statistics(item, self._bands(scene, list(chain))) if needs_statistics else item)
        return lambda start, stop: self._read(scene, chain, start, stop)

    def _bands(self, scene: Scene, chain: list[Callable]) -> Iterable[torch.Tensor]:
        step, height = max(1, _BAND_PIXELS // scene.facts.width), scene.facts.height
        progress = RowProgress(f"measure {scene.path.name}", height)
        for start in range(0, height, step):
            yield self._read(scene, chain, start, min(start + step, height))
            progress.at(start + step)

    def _read(self, scene: Scene, chain: list[Callable], start: int, stop: int) -> torch.Tensor:
        values = scene.rows(start, stop)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueRangeError(f"rows {start} to {stop} hold NaN or infinite values")
        self.refuse_values_beyond(values)
        # float32 as LoadImaged gives it; whole numbers up to 2**24 are exact.
        sample = {_KEY: torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)).astype(np.float32))}
        for item in chain:
            sample = item(sample)
        return torch.as_tensor(sample[_KEY]).as_subclass(torch.Tensor)


def _refuse_values_beyond(values: np.ndarray, low: float, high: float) -> None:
    if values.size and (values.min() < low or values.max() > high):
        raise ValueRangeError(
            f"values go from {values.min():g} to {values.max():g}, the bundle's preprocessing takes {low:g} to {high:g}"
        )


def reads_rgb(preprocessing: Any) -> bool:
    """Whether a bundle's ``preprocessing``, or its first transform, reads by `RGBReader`; no other is asked then."""
    first = preprocessing.transforms[0] if isinstance(preprocessing, Compose) else preprocessing
    return isinstance(first, LoadImaged) and isinstance(first._loader.readers[-1], RGBReader)


def _keeps_rows(loader: LoadImaged) -> bool:
    if reads_rgb(loader):
        return not loader._loader.readers[-1].reverse_indexing
    readers = [reader for reader in loader._loader.readers if isinstance(reader, PILReader)]
    return bool(readers) and all(not reader.reverse_indexing and reader.converter is None for reader in readers)


def _with_statistics(transform: NormalizeIntensityd, bands: Iterable[torch.Tensor]) -> NormalizeIntensityd:
    """The same normalisation with mean and standard deviation of the whole scene, summed in float64."""
    normal = transform.normalizer
    totals: list[_Moments] = []
    for band in bands:
        parts = band.flatten(1) if normal.channel_wise else band.reshape(1, -1)
        totals = totals or [_Moments() for _ in parts]
        for moments, values in zip(totals, parts, strict=True):
            moments.add(values[values != 0] if normal.nonzero else values)
    means, deviations = ([getattr(m, name) for m in totals] for name in ("mean", "deviation"))
    if not normal.channel_wise:
        means, deviations = means[0], deviations[0]
    return NormalizeIntensityd(
        transform.keys,
        subtrahend=means if normal.subtrahend is None else normal.subtrahend,
        divisor=deviations if normal.divisor is None else normal.divisor,
        nonzero=normal.nonzero,
        channel_wise=normal.channel_wise,
        dtype=normal.dtype,
    )


class _Moments:
    """Mean and standard deviation over parts, by Chan's update: nothing is lost where the mean is large."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, values: torch.Tensor) -> None:
        count = values.numel()
        if not count:
            return
        values = values.double()
        mean = float(values.mean())
        step = mean - self.mean
        self._squares += float((values - mean).square().sum()) + step**2 * self.count * count / (self.count + count)
        self.count += count
        self.mean += step * count / self.count

    @property
    def deviation(self) -> float:
        """Standard deviation of the whole; 1 where all values are equal, as MONAI has it."""
        return (self._squares / self.count) ** 0.5 or 1.0 if self.count else 1.0
