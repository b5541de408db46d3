"""Exact median filters for every dtype and device: `MedianBlur` and `MedianBlurd`."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils.type_conversion import convert_to_tensor

MOST_IN_NETWORK = (
    121  # values in a window (11 x 11): up to here the network is faster than SciPy (bench/median_blur.py)
)
STRIP_CPU, STRIP_GPU = 2**17, 2**26  # bytes that are filtered at once
BACKENDS = ("network", "histogram", "scipy")
# PyTorch has no minimum for these; what holds all their values and has one.
WIDER = {torch.bool: torch.uint8, torch.uint16: torch.int32, torch.uint32: torch.int64}


class MedianBlur(Transform):
    """Median of a window around each pixel or voxel, with the edge values repeated outside the image.

    All ways give the same, bit for bit, namely what ``scipy.ndimage.median_filter(mode="nearest")`` gives, in the dtype
    and on the device of the image. NaN spreads over its window with the network and must not be there otherwise.

    Windows up to 121 values (11 x 11, but not 5 x 5 x 5) go through a selection network of minima and maxima of whole
    shifted images: 5 to 20 times faster than SciPy for 3 x 3 and 5 x 5, for every dtype and device, with nothing to
    install. Wider windows go through scikit-image's histograms where the image is 8 bits deep, for their cost hardly
    grows with the window, else through SciPy. MONAI's `MedianSmooth` is slower than SciPy throughout. OpenCV is 10 to
    35 times faster than the network for 3 x 3 and 5 x 5, but is not used: installed it takes 150 MB, to save 1 to 6 ms
    of a channel of 256 x 256, and it filters no float images beyond 5 x 5, no volumes, and in its wheels not on a GPU.
    ``scripts/bench/median_blur.py`` measures all of them.

    Args:
        size: odd width of the window, one for all spatial axes or one for each.
        backend: ``"network"``, ``"histogram"`` or ``"scipy"`` to force one; by default the fastest one for the image.

    Shape:
        image ``(C, H, W)`` or ``(C, H, W, D)``; each channel is filtered by itself. Gives the same shape.

    Raises:
        ValueError: a size is even or below 1, does not fit the image, or the backend cannot filter such images.

    Source:
        Batcher, Sorting Networks and Their Applications, 1968, in the form of Knuth, The Art of Computer Programming,
        volume 3, 5.2.2, algorithm M. That sorted columns stay sorted when the rows are sorted is Knuth's too (5.2.1).
    """

    def __init__(self, size: int | Sequence[int] = 3, backend: str | None = None) -> None:
        for each in (size,) if isinstance(size, int) else size:
            if each < 1 or each % 2 == 0:
                raise ValueError(f"size is {size}; give odd widths from 1 on, for a window has a middle")
        if backend not in (None, *BACKENDS):
            raise ValueError(f"backend is {backend!r}; give one of {', '.join(BACKENDS)}, or None for the fastest")
        self.size, self.backend = size, backend

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        image = convert_to_tensor(image, track_meta=get_track_meta())
        values = image.as_tensor() if isinstance(image, MetaTensor) else image
        sizes = self.sizes(values.ndim - 1)
        backend = self.backend or fastest_backend(values, sizes)
        if backend == "network":
            out = torch.stack([network_median(channel, sizes) for channel in values])
        else:
            median = histogram_median if backend == "histogram" else scipy_median
            arrays = [median(channel, sizes) for channel in values.detach().cpu().numpy()]
            out = torch.from_numpy(np.stack(arrays)).to(values)
        return MetaTensor(out).copy_meta_from(image) if isinstance(image, MetaTensor) else out

    def sizes(self, dimensions: int) -> tuple[int, ...]:
        sizes = (self.size,) * dimensions if isinstance(self.size, int) else tuple(self.size)
        if len(sizes) != dimensions:
            raise ValueError(f"size is {sizes}, but the image has {dimensions} spatial axes; give one width for each")
        return sizes


class MedianBlurd(MapTransform):
    """`MedianBlur` for the images of a sample.

    Args:
        keys: of the images.
        size: odd width of the window, one for all spatial axes or one for each.
        allow_missing_keys: whether an image may be missing.
    """

    def __init__(self, keys: KeysCollection, size: int | Sequence[int] = 3, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.blur = MedianBlur(size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.blur(sample[key])
        return sample


def fastest_backend(image: torch.Tensor, sizes: tuple[int, ...]) -> str:
    if math.prod(sizes) <= MOST_IN_NETWORK:
        return "network"
    return "histogram" if image.dtype == torch.uint8 and image.ndim == 3 else "scipy"


def scipy_median(image: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    return ndimage.median_filter(image, size=sizes, mode="nearest")


def histogram_median(image: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Of 8-bit images ``(H, W)``; scikit-image leaves out what lies outside, so that the edge is repeated first."""
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"the image is {image.ndim}D and {image.dtype}; histograms filter 2D images of uint8 only")
    from skimage.filters import rank

    (above, left), (height, width) = (size // 2 for size in sizes), image.shape
    padded = np.pad(image, ((above, above), (left, left)), mode="edge")
    return rank.median(padded, np.ones(sizes, dtype=np.uint8))[above : above + height, left : left + width]


def network_median(image: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    """Median by minima and maxima of shifted images, in strips that stay in the cache of a processor."""
    wide = image.to(WIDER.get(image.dtype, image.dtype))
    for axis, size in enumerate(sizes):
        places = torch.arange(-(size // 2), image.shape[axis] + size // 2, device=image.device)
        wide = wide.index_select(axis, places.clamp(0, image.shape[axis] - 1))
    strip = STRIP_CPU if image.device.type == "cpu" else STRIP_GPU
    rows = max(1, strip // (wide[0].numel() * wide.element_size()))
    strips = [wide[row : row + rows + sizes[0] - 1] for row in range(0, image.shape[0], rows)]
    return torch.cat([window_median(strip, sizes) for strip in strips]).to(image.dtype)


def window_median(padded: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    """Sort the window along one axis after the other, drop what can no longer be the median, and sort the rest.

    After the sorts along all axes the value at place ``(i, j)`` of the window is not below the ``(i + 1) (j + 1)``
    values up to it, itself counted, and not above the ``(m - i) (n - j)`` from it on. If either is more than half of
    the window, it is not the median. As much is dropped on both sides, so that the median of the rest is the same.
    """
    half = (math.prod(sizes) + 1) // 2
    # One long row: a step along an axis is a shift by its stride, and minima of contiguous memory are fast.
    flat = padded.reshape(-1)
    candidates = {(1, 1): [flat]}  # by the numbers of values not above and not below
    for size, stride in zip(sizes, padded.contiguous().stride(), strict=True):
        length = len(next(iter(candidates.values()))[0]) - (size - 1) * stride
        kept: dict[tuple[int, int], list[torch.Tensor]] = {}
        for (below, above), rows in candidates.items():
            ranks = [i for i in range(size) if below * (i + 1) <= half and above * (size - i) <= half]
            for row in rows:
                shifted = [row[i * stride : i * stride + length] for i in range(size)]
                for i, values in zip(ranks, select(shifted, tuple(ranks)), strict=True):
                    kept.setdefault((below * (i + 1), above * (size - i)), []).append(values)
        candidates = kept
    rest = [values for rows in candidates.values() for values in rows]
    (median,) = select(rest, (len(rest) // 2,))
    whole = torch.empty_like(flat)
    whole[: len(median)] = median
    inside = tuple(slice(length - size + 1) for length, size in zip(padded.shape, sizes, strict=True))
    return whole.view(padded.shape)[inside]


def select(values: list[torch.Tensor], ranks: tuple[int, ...]) -> list[torch.Tensor]:
    """The elements of some ranks, 0 = the smallest, at each place of several tensors of one shape."""
    values = list(values)
    for low, high, lower_wanted, higher_wanted in selection_network(len(values), ranks):
        first, second = values[low], values[high]
        if lower_wanted:
            values[low] = torch.minimum(first, second)
        if higher_wanted:
            values[high] = torch.maximum(first, second)
    return [values[rank] for rank in ranks]


@lru_cache(maxsize=256)
def selection_network(count: int, ranks: tuple[int, ...]) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparisons (place of the lower, of the higher, whether each is needed) that bring some ranks to their places."""
    needed, network = set(ranks), []
    for low, high in reversed(sorting_network(count)):
        wanted = (low in needed, high in needed)
        if any(wanted):
            network.append((low, high, *wanted))
            needed |= {low, high}
    return tuple(reversed(network))


def sorting_network(count: int) -> list[tuple[int, int]]:
    """Comparisons of Batcher's merge exchange: after them the values are sorted, whatever they were."""
    pairs = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    step = top
    while step > 0:
        reach, rest, distance = top, 0, step
        while True:
            pairs += [(place, place + distance) for place in range(count - distance) if place & step == rest]
            if reach == step:
                break
            distance, reach, rest = reach - step, reach // 2, step
        step //= 2
    return pairs if count > 1 else []
