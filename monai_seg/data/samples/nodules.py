"""Sample volumes with instance maps: nodules among vessels in made-up lung tissue, each nodule a number of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, nifti, paint, smooth_noise

VERSION = 1
N_CASES = 40
N_FILES = 2 * N_CASES + 1

_SIZE = 40
AFFINE = np.diag([1.0, 1.0, 1.25, 1.0])
_TISSUE, _VESSEL, _NODULE = -820.0, 30.0, 40.0
_DEVIATION = 60.0  # of the noise, in the unit of the intensities

_README = """# Sample nodules (synthetic)

{n_cases} volumes of {size} x {size} x {size} voxels, `images/` and `labels/` with the same names, NIfTI.

**Nothing here was measured on a person.** monai-seg computed these files (`monai_seg.data.samples`, kind `nodules`,
generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they
say nothing about how well it works on patients.

- Labels: 0 background, 1, 2, 3 ... one nodule each. About one volume in eight has none.
- Look: dark tissue with bright vessels, as bright as the nodules, that only their shape tells apart; two nodules may
  touch. Spacing 1 x 1 x 1.25 mm.
- Licence: CC0-1.0.
"""


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    for index in range(N_CASES):
        image, label = make_case(seed, index)
        name = f"nodules_{index:03d}.nii.gz"
        yield f"images/{name}", nifti(image, AFFINE)
        yield f"labels/{name}", nifti(label, AFFINE)
    yield "README.md", _README.format(n_cases=N_CASES, size=_SIZE, version=VERSION, seed=seed).encode()


def make_case(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and instance map of one case.

    Args:
        seed: seed of the data set.
        index: number of the case.

    Returns:
        Image ``(40, 40, 40)`` int16, roughly in Hounsfield units, and map of the same shape, uint8.
    """
    rng = case_rng(seed, index)
    shape = (_SIZE,) * 3
    points = np.indices(shape, dtype=np.float64)
    tissue = _TISSUE + 50 * smooth_noise(rng, shape, 3.0)
    for _ in range(rng.integers(2, 5)):
        paint(tissue, _VESSEL, inside(_tube(rng, points), 0.6))
    label = np.zeros(shape, np.uint8)
    wobble = np.stack([smooth_noise(rng, shape, 4.0) for _ in range(3)])
    wanted = 0 if rng.random() < 0.125 else int(rng.integers(1, 5))
    for number in range(1, wanted + 1):
        depth = _nodule(rng, points + 0.5 * wobble)
        own = (depth < 0) & (label == 0)
        # One that another covers for the most part would be no object that anybody could tell.
        if own.sum() < 0.8 * (depth < 0).sum():
            continue
        paint(tissue, _NODULE + 15 * smooth_noise(rng, shape, 2.0), inside(depth, 0.6))
        label[own] = number
    label = np.searchsorted(np.unique(np.append(label, 0)), label).astype(np.uint8)
    noise = rng.normal(0.0, _DEVIATION, shape)
    return np.rint(tissue + noise).astype(np.int16), label


def _nodule(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Signed distance to an ellipsoid whose axes differ by a third at most, negative inside."""
    radius = rng.uniform(3.0, 6.5) * rng.uniform(0.85, 1.15, 3)
    centre = rng.uniform(radius + 1, _SIZE - 2 - radius)
    scaled = (points - centre[:, None, None, None]) / radius[:, None, None, None]
    return (np.sqrt((scaled**2).sum(axis=0)) - 1) * radius.mean()


def _tube(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Signed distance to a straight vessel right through the volume."""
    middle, direction = rng.uniform(0.2, 0.8, 3) * _SIZE, rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    away = points - middle[:, None, None, None]
    along = np.einsum("a,aijk->ijk", direction, away)
    return np.sqrt(np.maximum((away**2).sum(axis=0) - along**2, 0)) - rng.uniform(1.2, 2.2)
