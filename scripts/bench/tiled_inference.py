"""What streaming a scene costs: time over the network's own, and peak memory at two heights.

Run: python scripts/bench/tiled_inference.py [--width 4096] [--heights 2048 8192] [--tile 512] [--full]. Each height is
measured in a process of its own: an RGB scene as tiled TIFF, written before, is predicted to a label map with a
stand-in network of two convolutions. --full is the scene of 20,000 x 20,000 pixels that must stay below 2 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

PIECE = 256
LIMIT_MB = 2000


def write_scene(path: Path, height: int, width: int) -> None:
    """Smooth colours and noise, one row of pieces at a time."""
    draw = np.random.default_rng(0)

    def pieces() -> Iterator[np.ndarray]:
        noise = draw.integers(0, 40, (PIECE, PIECE, 3), dtype=np.uint8)
        for number in range(-(-height // PIECE) * -(-width // PIECE)):
            yield noise + np.uint8(40 * (number % 5))

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            pieces(), shape=(height, width, 3), dtype="u1", tile=(PIECE, PIECE), compression="zlib", photometric="rgb"
        )


def predict(path: Path, tile: int, overlap: float, threads: int, is_cleaned: bool) -> dict[str, float]:
    """Predict a scene in this process, and say what it took."""
    import torch
    from monai.transforms import LoadImaged, ScaleIntensityRanged

    from monai_seg.inference.scene import open_scene
    from monai_seg.inference.scene_cleaning import SceneCleaning
    from monai_seg.inference.scene_prediction import Decision, SceneOutputs, ScenePredictor
    from monai_seg.inference.streamed import Window
    from monai_seg.inference.tile_preprocessing import TilePreprocessing

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, padding=1)
    network = torch.nn.Sequential(*layers)
    in_network = 0.0

    def timed(tiles: torch.Tensor) -> torch.Tensor:
        nonlocal in_network
        begun = time.perf_counter()
        result = network(tiles)
        in_network += time.perf_counter() - begun
        return result

    load = LoadImaged("image", reader="PILReader", reverse_indexing=False, ensure_channel_first=True)
    preprocessing = TilePreprocessing([load, ScaleIntensityRanged("image", 0, 255, 0, 1)])
    cleaning = SceneCleaning(min_object_size=16 if is_cleaned else 0)
    window = Window((tile, tile), (overlap, overlap))
    predictor = ScenePredictor(timed, window, Decision("sigmoid", 0.5), cleaning)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    with open_scene(path) as scene:
        predictor.predict(scene, preprocessing.for_scene(scene), SceneOutputs(path.with_name("labels.tif")))
    return {
        "seconds": time.perf_counter() - begun,
        "network_seconds": in_network,
        "libraries_mb": before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure, print a table, and fail where memory grows with the height or passes the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--heights", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clean", action="store_true", help="remove small objects too, which takes two more passes")
    parser.add_argument("--full", action="store_true", help="20,000 x 20,000 pixels")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        taken = predict(options.one, options.tile, options.overlap, options.threads, options.clean)
        sys.stdout.write(json.dumps(taken) + "\n")
        return
    if options.full:
        options.width, options.heights = 20_000, [20_000]
    sys.stdout.write("width x height    seconds  over network's own  libraries MB  peak MB\n")
    peaks = []
    for height in options.heights:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.tif"
            write_scene(path, height, options.width)
            arguments = [sys.executable, __file__, "--one", str(path), "--tile", str(options.tile)]
            arguments += ["--overlap", str(options.overlap), "--threads", str(options.threads)]
            arguments += ["--clean"] if options.clean else []
            done = subprocess.run(arguments, check=True, capture_output=True, text=True)
        taken = json.loads(done.stdout.splitlines()[-1])
        peaks.append(taken["peak_mb"])
        ratio = taken["seconds"] / taken["network_seconds"]
        sys.stdout.write(
            f"{options.width:>6} x {height:<6}  {taken['seconds']:>8.1f}  {ratio:>18.2f}"
            f"  {taken['libraries_mb']:>12.0f}  {taken['peak_mb']:>7.0f}\n"
        )
    if max(peaks) > LIMIT_MB or max(peaks) > 1.1 * min(peaks):
        sys.exit(f"memory: {peaks} MB; the limit is {LIMIT_MB} MB, and growth of 10 % with the height")


if __name__ == "__main__":
    main()
