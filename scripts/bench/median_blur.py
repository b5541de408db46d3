"""What an exact median filter costs: our `MedianBlur` beside SciPy, scikit-image, Pillow, MONAI and OpenCV.

Run: python scripts/bench/median_blur.py [--sizes 256 512] [--windows 3 5 11 21] [--device cuda] [--rounds 7]. Prints
the median of rounds that alternate between the contenders, on one thread (time of the process on a CPU, on the clock
with synchronisation on a GPU), the ratio to ours, and whether the values are the same. A contender is left out where it
cannot filter the dtype, or is not installed: OpenCV is no dependency of ours (`pip install opencv-python-headless`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from monai.transforms import MedianSmooth
from PIL import Image, ImageFilter
from scipy import ndimage

from monai_seg.transforms.median_blur import BACKENDS, MedianBlur, fastest_backend

Result = np.ndarray | torch.Tensor
WIDEST = {"MONAI MedianSmooth": 11, "ours: network": 21}  # wider ones take minutes


def picture(size: int, dtype: type) -> np.ndarray:
    """A smooth noisy picture, as a photograph is: the time of some filters depends on the values."""
    generator = np.random.default_rng(0)
    values = ndimage.gaussian_filter(generator.random((size, size)), 2.0)
    values = (values - values.min()) / np.ptp(values) + generator.normal(0, 0.05, values.shape)
    scale = 1.0 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    return (np.clip(values, 0, 1) * scale).astype(dtype)


def contenders(image: np.ndarray, window: int, device: torch.device) -> dict[str, Callable[[], Result]]:
    tensor = torch.from_numpy(image)[None].to(device)
    tried: dict[str, Callable[[], Result]] = {}
    best = fastest_backend(tensor, (window, window))
    for backend in sorted(BACKENDS, key=lambda backend: backend != best):
        if backend == "histogram" and image.dtype != np.uint8:
            continue
        name = f"ours: {backend}" + (" (chosen)" if backend == best else "")
        tried[name] = partial(MedianBlur(window, backend), tensor)
    floats = tensor.float()
    tried["MONAI MedianSmooth"] = partial(MedianSmooth(window // 2), floats)
    if image.dtype == np.uint8:
        pillow = Image.fromarray(image)
        tried["Pillow"] = lambda: np.asarray(pillow.filter(ImageFilter.MedianFilter(window)))
    if find_spec("cv2") and (image.dtype == np.uint8 or (window <= 5 and image.dtype in (np.uint16, np.float32))):
        opencv = import_module("cv2")
        opencv.setNumThreads(1)
        tried["OpenCV"] = partial(opencv.medianBlur, image, window)
    return {name: call for name, call in tried.items() if window <= WIDEST.get(name.removesuffix(" (chosen)"), window)}


def timed(call: Callable[[], Result], device: torch.device) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def values(result: Result) -> np.ndarray:
    array = result.cpu().numpy() if isinstance(result, torch.Tensor) else result
    return np.squeeze(array).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--windows", type=int, nargs="+", default=[3, 5, 11, 21])
    parser.add_argument("--dtypes", nargs="+", default=["uint8", "uint16", "float32"])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for dtype in arguments.dtypes:
        for size in arguments.sizes:
            image = picture(size, np.dtype(dtype).type)
            for window in arguments.windows:
                tried = contenders(image, window, arguments.device)
                reference = ndimage.median_filter(image, size=window, mode="nearest").astype(np.float64)
                same = {name: np.array_equal(values(call()), reference) for name, call in tried.items()}  # warms up
                times: dict[str, list[float]] = {name: [] for name in tried}
                for _ in range(arguments.rounds):
                    for name, call in tried.items():
                        times[name].append(timed(call, arguments.device))
                print(f"{dtype}, {size} x {size}, window {window} x {window}")  # noqa: T201
                base = statistics.median(next(iter(times.values())))
                for name, spent in times.items():
                    value, remark = statistics.median(spent), "" if same[name] else "   DIFFERS"
                    print(f"  {name:<26} {value * 1000:9.2f} ms   x{value / base:.2f}{remark}")  # noqa: T201


if __name__ == "__main__":
    main()
