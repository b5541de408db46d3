"""What finding copies costs and finds: `find_copies` beside 64-bit hashes, on pictures with planted copies.

Run: python scripts/bench/bench_duplicates.py [--images 20000] [--data FOLDER] [--size 128]. Pictures are made by
blending and cutting two pictures of FOLDER each (any layout; aligned faces are the hard case), or two fields of made-up
noise that all share their broad shades. One in twenty gets a copy that was altered in one way. Prints seconds with
reading, the share of planted copies that is found for each alteration, how many pairs were flagged besides, and the
same of the difference hash and the cosine hash at their usual distances, computed from the same thumbnails.
"""

from __future__ import annotations

import argparse
import io
import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy.fft import dctn, irfft2

from monai_seg.data.duplicates.copies import find_copies
from monai_seg.data.duplicates.prints import read_prints
from monai_seg.data.layouts import read_listing
from monai_seg.data.layouts.listing import first_image

ONE_IN = 20


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


def cut(image: Image.Image, *shares: float) -> Image.Image:
    left, top, right, bottom = (round(share * image.width) for share in shares)
    return image.crop((left, top, image.width - right, image.height - bottom))


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "same pixels": lambda image: image,
    "JPEG of quality 30": recompressed,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "cut 5% each side": lambda image: cut(image, 0.05, 0.05, 0.05, 0.05),
    "cut 15% each side": lambda image: cut(image, 0.15, 0.15, 0.15, 0.15),
    "cut 5 to 15%": lambda image: cut(image, 0.05, 0.13, 0.15, 0.08),
    "mirrored": ImageOps.mirror,
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda image: image.point([min(255, int(1.3 * value + 10)) for value in range(256)]),
}


def sources(folder: str | None, size: int, generator: np.random.Generator) -> np.ndarray:
    """Pictures to blend, ``(S, size, size)``."""
    if folder:
        files = [first_image(record) for part in read_listing(folder).sections.values() for record in part]
        return np.stack([np.asarray(Image.open(file).convert("L").resize((size, size)), np.float32) for file in files])
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) + 1 / size
    spectra = generator.normal(size=(256, *frequency.shape)) + 1j * generator.normal(size=(256, *frequency.shape))
    spectra /= frequency**1.5
    spectra[:, frequency < 4 / size] = spectra[0, frequency < 4 / size]
    fields = irfft2(spectra, (size, size))
    return (127 + 40 * fields / fields.std()).clip(0, 255).astype(np.float32)


def write_pool(folder: Path, count: int, pictures: np.ndarray) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Write different pictures and the copies of some; what each copy is, of which, and its own index."""
    generator = np.random.default_rng(1)
    pairs = list(itertools.islice(itertools.combinations(range(len(pictures)), 2), 40 * count))
    chosen = generator.choice(len(pairs), count, replace=False)
    size, files, planted, names = pictures.shape[1], [], [], list(ALTERED)
    for number, (one, other) in enumerate(pairs[row] for row in chosen):
        share, scale = generator.uniform(0.35, 0.65), generator.uniform(0.6, 0.75)
        top, left = (generator.uniform(0, 1 - scale, 2) * size).astype(int)
        side = int(scale * size)
        values = share * pictures[one] + (1 - share) * pictures[other]
        image = Image.fromarray(values[top : top + side, left : left + side].astype(np.uint8)).resize((size, size))
        files.append(str(folder / f"{number}.jpg"))
        image.save(files[-1], quality=90)
    for number in range(0, count, ONE_IN):
        name = names[number // ONE_IN % len(names)]
        planted.append((name, number, len(files)))
        files.append(str(folder / f"copy{number}.png"))
        ALTERED[name](Image.open(files[number])).save(files[-1])
    return files, planted


def hashes(thumbnails: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """64-bit hashes of thumbnails and the largest distance at which two are usually called alike."""
    small = thumbnails.reshape(-1, 8, 8, 8, 8).mean(axis=(2, 4))
    wider = np.concatenate([small, small[:, :, :1]], axis=2)
    waves = dctn(thumbnails.astype(np.float32), axes=(1, 2))[:, :8, :8].reshape(len(thumbnails), 64)
    bits = {
        "dHash, 4 bits": (np.diff(wider, axis=2) > 0, 4),
        "pHash, 6 bits": (waves > np.median(waves, 1)[:, None], 6),
    }
    return {
        name: (np.packbits(each.reshape(-1, 64), axis=1).view(np.uint64)[:, 0], most)
        for name, (each, most) in bits.items()
    }


def near_hashes(codes: np.ndarray, most: int) -> set[tuple[int, int]]:
    found = set()
    for start in range(0, len(codes), 256):
        far = np.bitwise_count(codes[start : start + 256, None] ^ codes[None])
        rows, columns = np.nonzero(far <= most)
        found.update((int(r) + start, int(c)) for r, c in zip(rows, columns, strict=True) if r + start < c)
    return found


def report(name: str, seconds: float, found: set[tuple[int, int]], planted: list[tuple[str, int, int]]) -> None:
    true = {(original, copy) for _, original, copy in planted}
    print(f"{name:<16} {seconds:7.1f} s   found {len(found & true)} of {len(true)}, besides {len(found - true):,}")  # noqa: T201
    for kind in ALTERED:
        ours = {(original, copy) for each, original, copy in planted if each == kind}
        if ours:
            print(f"  {kind:<20} {len(found & ours) / len(ours):6.1%}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--data", help="a data set whose pictures are blended; made-up noise where none is named")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    arguments = parser.parse_args()
    pictures = sources(arguments.data, arguments.size, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        files, planted = write_pool(Path(folder), arguments.images, pictures)
        start, spent = time.perf_counter(), time.process_time()
        prints, _ = read_prints([{"image": file} for file in files], progress=True)
        read = time.perf_counter()
        copies = find_copies(prints, progress=True)
        done, spent = time.perf_counter(), time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told = f"{read - start:.1f} s to read, {done - start:.1f} s in all, {spent:.1f} s of processors"
    print(f"{len(files):,} images, {told}, {peak:.1f} GiB at most")  # noqa: T201
    report("ours", done - start, {(copy.first, copy.second) for copy in copies}, planted)
    thumbnails = np.stack([each.thumbnail for each in prints if each is not None and each.thumbnail is not None])
    for name, (codes, most) in hashes(thumbnails).items():
        start = time.perf_counter()
        found = near_hashes(codes, most)
        report(name, time.perf_counter() - start, found, planted)


if __name__ == "__main__":
    main()
