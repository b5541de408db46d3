"""Sample cells: sections through made-up tissue under an electron microscope, as `images/` and `masks/`.

Membranes are the thin lines where cells touch. Mitochondria and vesicles are as dark as they, the illumination is
uneven and some stretches of membrane are faint, so darkness alone does not find them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, paint, png, smooth_noise

VERSION = 1
N_IMAGES = 20
N_FILES = 2 * N_IMAGES + 1
SIZE = 256
MEMBRANE, INTERIOR = 0, 255

_CYTOPLASM, _DARK = 0.68, 0.22
_N_CELLS, _N_MITOCHONDRIA, _N_VESICLES = 52, 7, 110

_README = """# Sample cells (synthetic)

{n_images} grey images of {size} x {size} pixels (`images/`) with masks of the same name (`masks/`).

**Nothing here was seen under a microscope.** monai-seg computed these files (`monai_seg.data.samples`, kind `cells`,
generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they
say nothing about how well it works on real sections.

- Masks: 0 membrane, 255 inside of a cell (the convention of the ISBI 2012 membranes).
- Look: touching cells with thin dark membranes, partly faint; mitochondria and vesicles as dark as the membranes;
  uneven illumination, blur and noise.
- Licence: CC0-1.0.
"""


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    for index in range(N_IMAGES):
        image, mask = make_case(seed, index)
        yield f"images/section_{index:02d}.png", png(image)
        yield f"masks/section_{index:02d}.png", png(mask)
    yield "README.md", _README.format(n_images=N_IMAGES, size=SIZE, version=VERSION, seed=seed).encode()


def make_case(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One section with its mask.

    Args:
        seed: seed of the data set.
        index: number of the case.

    Returns:
        Image and mask, uint8, ``(SIZE, SIZE)``; the mask is `MEMBRANE` or `INTERIOR`.
    """
    from scipy import ndimage

    rng = case_rng(seed, index)
    cell, distance = _cells(rng)
    width = np.clip(1.6 + 0.35 * _noise(rng, 18), 1.0, 2.2)
    mask = np.where(distance < width, MEMBRANE, INTERIOR).astype(np.uint8)
    room = ndimage.distance_transform_edt(mask)
    canvas = _cytoplasm(rng, cell)
    _draw_mitochondria(rng, canvas, room)
    _draw_vesicles(rng, canvas, room)
    _draw_membranes(rng, canvas, distance, width)
    return _expose(rng, canvas), mask


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    return smooth_noise(rng, (SIZE, SIZE), sigma)


def _cells(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Number of the cell that each pixel belongs to, and the pixel's distance to the nearest membrane's middle.

    The distance holds near membranes; far from them it is only a large number.

    A Voronoi diagram of bent space whose points have weights, so that large cells lie among small ones.
    """
    sites = _spread_sites(rng)
    room = np.sort(np.linalg.norm(sites[:, None] - sites[None], axis=2), axis=1)[:, 1]
    weights = rng.uniform(0.0, 0.6, len(sites)) * room
    bent = np.indices((SIZE, SIZE), dtype=np.float64)
    bent += np.stack([9.0 * _noise(rng, 22) + 2.2 * _noise(rng, 7) for _ in range(2)])
    cell = np.zeros((SIZE, SIZE), dtype=np.intp)
    first, second = np.full((2, SIZE, SIZE), np.inf)
    for number, (site, weight) in enumerate(zip(sites, weights, strict=True)):
        reach = np.sqrt((bent[0] - site[0]) ** 2 + (bent[1] - site[1]) ** 2) - weight
        cell[reach < first] = number
        second = np.minimum(second, np.maximum(first, reach))
        first = np.minimum(first, reach)
    gap = second - first
    # The gap grows up to twice as fast as the distance, or slower where space is bent: its slope tells.
    slope = np.hypot(*np.gradient(gap)).clip(0.3, 4.0)
    return cell, gap / slope


def _spread_sites(rng: np.random.Generator) -> np.ndarray:
    """Points that keep some room, also beyond the image's edge (best of several candidates, one after the other)."""
    low, high = -25.0, SIZE + 25.0
    sites = rng.uniform(low, high, (1, 2))
    while len(sites) < _N_CELLS:
        candidates = rng.uniform(low, high, (6, 2))
        room = np.linalg.norm(candidates[:, None] - sites[None], axis=2).min(axis=1)
        sites = np.vstack([sites, candidates[room.argmax()]])
    return sites


def _cytoplasm(rng: np.random.Generator, cell: np.ndarray) -> np.ndarray:
    shade = rng.normal(0.0, 0.05, _N_CELLS)[cell]
    grain = 0.045 * _noise(rng, 1.6) + 0.03 * _noise(rng, 4)
    return _CYTOPLASM + shade + grain


def _draw_mitochondria(rng: np.random.Generator, canvas: np.ndarray, room: np.ndarray) -> None:
    """Ellipses with a dark rim and dark cristae, each within the distance that its cell leaves."""
    bent = np.indices(canvas.shape, dtype=np.float64) + np.stack([1.5 * _noise(rng, 7) for _ in range(2)])
    grain = 0.04 * _noise(rng, 1.0)
    room = np.minimum(room, 22.0)
    for _ in range(_N_MITOCHONDRIA):
        places = np.argwhere(room > 9.0)
        if not len(places):
            return
        y, x = places[rng.integers(len(places))]
        short = room[y, x] * rng.uniform(0.65, 0.85)
        long, angle = short * rng.uniform(1.0, 1.35), rng.uniform(0, np.pi)
        box = _box(y, x, int(long) + 12)
        row, col = bent[0][box] - y, bent[1][box] - x
        along, across = col * np.cos(angle) + row * np.sin(angle), row * np.cos(angle) - col * np.sin(angle)
        edge = (np.hypot(along / long, across / short) - 1.0) * short
        cristae = 0.11 * np.sin(along * 2 * np.pi / rng.uniform(4.0, 6.0) + 1.2 * np.sin(across / 3))
        paint(canvas[box], 0.42 + cristae + grain[box], inside(edge, 0.8))
        paint(canvas[box], _DARK, np.exp(-((edge / 1.2) ** 2)))
        room[box] = np.minimum(room[box], edge)


def _box(y: int, x: int, reach: int) -> tuple[slice, slice]:
    """Window about a pixel, cut at the image's edge."""
    return slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)


def _draw_vesicles(rng: np.random.Generator, canvas: np.ndarray, room: np.ndarray) -> None:
    """Small rings and dots, in crowds, inside of the cells."""
    crowd = np.exp(1.3 * _noise(rng, 14)) * (room > 3.0)
    chosen = np.asarray(rng.choice(crowd.size, _N_VESICLES, replace=False, p=crowd.ravel() / crowd.sum()))
    grid = np.indices(canvas.shape)
    for y, x in zip(*np.unravel_index(chosen, crowd.shape), strict=True):
        box = _box(y, x, 7)
        offset = np.hypot(grid[0][box] - y, grid[1][box] - x)
        radius = rng.uniform(1.6, 3.0) if rng.random() < 0.7 else 0.0
        paint(canvas[box], _DARK, rng.uniform(0.55, 1.0) * np.exp(-(((offset - radius) / 0.9) ** 2)))


def _draw_membranes(rng: np.random.Generator, canvas: np.ndarray, distance: np.ndarray, width: np.ndarray) -> None:
    """Dark lines, faint in places; and smears where a membrane was cut along its plane."""
    strength = np.clip(0.85 + 0.28 * _noise(rng, 12), 0.3, 1.0)
    smear = np.clip(_noise(rng, 10) - 1.5, 0.0, 0.7) * inside(distance - 5.0, 3.0)
    paint(canvas, _DARK + 0.1, smear)
    paint(canvas, _DARK, strength * inside(distance - width, 0.6))


def _expose(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """What the microscope makes of the section: uneven light, blur, noise, 8 bits."""
    from scipy import ndimage

    light = 1.0 + 0.16 * _noise(rng, 55)
    noise = 0.06 * rng.standard_normal(canvas.shape) + 0.05 * _noise(rng, 0.8)
    exposed = ndimage.gaussian_filter(canvas * light, rng.uniform(0.6, 0.9)) + noise
    return np.rint(255 * np.clip(exposed, 0.0, 1.0)).astype(np.uint8)
