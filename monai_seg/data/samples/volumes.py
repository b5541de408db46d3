"""Sample volumes: crops of a made-up brain MR with a bent structure in two parts, in the layout of the Decathlon.

The scene is built in patient coordinates (millimetres, towards right, anterior, superior) and then seen through a
scanner's grid that is anisotropic, oblique and sometimes flipped. So the anterior part is anterior by the affine,
not by the array, and code that drops the affine shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, nifti, paint, smooth_noise

VERSION = 1
N_TRAINING = 24
N_TEST = 4
N_FILES = 2 * N_TRAINING + N_TEST + 2

LABELS = {"0": "background", "1": "anterior", "2": "posterior"}
_WHITE, _FOLD, _GREY, _FLUID, _BRIGHT = 1.0, 0.65, 0.55, 0.22, 1.6
_AXIS_SIGNS = {"RAS": (1, 1, 1), "LPS": (-1, -1, 1), "LAS": (-1, 1, 1)}
_EDGE_MM = 0.5

_README = """# Sample volumes (synthetic)

{n_training} labelled and {n_test} unlabelled 3D volumes in the layout of the Medical Segmentation Decathlon
(`imagesTr/`, `labelsTr/`, `imagesTs/`, `dataset.json`).

**Nothing here was measured on a person.** monai-seg computed these files (`monai_seg.data.samples`, kind `volumes`,
generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they
say nothing about how well it works on patients.

- Labels: 0 background, 1 anterior part, 2 posterior part of one bent structure.
- Look: grey structure with a partial bright rim, among folds of nearly and nodules of exactly the same grey, a dark
  cavity, a bright vessel; bias field, Rician noise; the intensity scale varies by case from about 100 to 100,000.
- Geometry: spacing varies by case (1.0 to 1.3 mm in plane, 1.4 to 2.0 mm across), oblique by up to 12 degrees,
  axes RAS, LPS or LAS. sform and qform agree.
- Licence: CC0-1.0.
"""


@dataclass(frozen=True)
class _Grid:
    """Where the voxels of a case lie."""

    shape: tuple[int, int, int]
    spacing_mm: np.ndarray
    affine: np.ndarray
    centre_mm: np.ndarray

    def points_mm(self) -> np.ndarray:
        """Patient coordinates of all voxels relative to the grid's centre, ``(3, I, J, K)``."""
        index = np.indices(self.shape, dtype=np.float64)
        moved = self.affine[:3, 3] - self.centre_mm
        return np.einsum("ab,bijk->aijk", self.affine[:3, :3], index) + moved[:, None, None, None]

    def noise(self, rng: np.random.Generator, sigma_mm: float) -> np.ndarray:
        return smooth_noise(rng, self.shape, sigma_mm / self.spacing_mm)


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    for index in range(N_TRAINING + N_TEST):
        image, label, affine = make_case(seed, index)
        name = f"volume_{index:03d}.nii.gz"
        if index < N_TRAINING:
            yield f"imagesTr/{name}", nifti(image, affine)
            yield f"labelsTr/{name}", nifti(label, affine)
        else:
            yield f"imagesTs/{name}", nifti(image, affine)
    yield "dataset.json", _dataset_json(seed)
    readme = _README.format(n_training=N_TRAINING, n_test=N_TEST, version=VERSION, seed=seed)
    yield "README.md", readme.encode()


def make_case(seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One volume with its label map.

    Args:
        seed: seed of the data set.
        index: number of the case.

    Returns:
        Image (int16 or float32), label map (uint8, same shape) and affine (voxel to patient millimetres).
    """
    rng = case_rng(seed, index)
    grid = _make_grid(rng)
    anatomy = _to_anatomy(rng, grid.points_mm())
    depth_mm, label = _structure(rng, grid, anatomy)
    tissue = _surroundings(rng, grid, anatomy)
    rim = inside(depth_mm - 1.5, _EDGE_MM) * np.clip(0.8 + 0.4 * grid.noise(rng, 5.0), 0.0, 1.0)
    paint(tissue, _WHITE * 1.08, rim)
    grey = _GREY + 0.04 * grid.noise(rng, 1.2)
    paint(tissue, grey, inside(depth_mm, _EDGE_MM))
    return _acquire(rng, grid, tissue), label, grid.affine


def _make_grid(rng: np.random.Generator) -> _Grid:
    spacing = np.array([*rng.uniform(1.0, 1.3, 2), rng.uniform(1.4, 2.0)])
    extent = np.array([40.0, 55.0, 40.0]) * rng.uniform(0.94, 1.06, 3)
    rows, columns, slices = (int(n) for n in np.rint(extent / spacing))
    shape = (rows, columns, slices)
    signs = _AXIS_SIGNS[str(rng.choice(list(_AXIS_SIGNS), p=[0.5, 0.3, 0.2]))]
    # At least 3 degrees about a random axis: a case that is oblique by a hair would test nothing.
    axes = _rotation(_direction(rng), np.deg2rad(rng.uniform(3.0, 12.0))) * np.array(signs) * spacing
    centre = rng.uniform(-60.0, 60.0, 3)
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = centre - axes @ ((np.array(shape) - 1) / 2)
    return _Grid(shape, spacing, affine, centre)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def _rotation(axis: Sequence[float] | np.ndarray, angle_rad: float) -> np.ndarray:
    """Rotation about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def _to_anatomy(rng: np.random.Generator, points_mm: np.ndarray) -> np.ndarray:
    """Coordinates along the structure's own axes: random pose about a mean tilt of 22 degrees, head up."""
    pose = _rotation(_direction(rng), np.deg2rad(rng.uniform(0.0, 12.0))) @ _rotation((1.0, 0.0, 0.0), np.deg2rad(22.0))
    moved = points_mm - rng.uniform(-3.0, 3.0, 3)[:, None, None, None]
    return np.einsum("ba,bijk->aijk", pose, moved)


def _structure(rng: np.random.Generator, grid: _Grid, anatomy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance to the structure (mm, negative inside) and its label map.

    A chain of balls along a bent line: a thick head, which ends where the labels meet, then body and tapering tail.
    """
    length, bend_up, bend_side = rng.uniform(31, 36), rng.uniform(2.0, 5.0), rng.uniform(-5.0, -2.0)
    head, body = rng.uniform(5.8, 7.0), rng.uniform(4.4, 5.2)
    border = rng.uniform(-0.05, 0.15)
    along = np.linspace(-1.0, 1.0, 41)
    line = np.stack([bend_side * (along**2 - 0.3), along * length / 2, bend_up * (along**2 - 0.3)])
    radius = body + (head - body) * inside(border - along, 0.15)
    radius *= np.where(along < 0, 1.0 - 0.3 * along**2, 1.0)
    wobble = np.stack([grid.noise(rng, 6.0) for _ in range(3)])
    bent = anatomy + 0.9 * wobble
    depth = np.full(grid.shape, np.inf)
    for centre, ball in zip(line.T, radius, strict=True):
        squares = (bent - centre[:, None, None, None]) ** 2
        # Flatter than wide, as the hippocampus is.
        np.minimum(depth, np.sqrt(squares[0] * 0.8 + squares[1] + squares[2] * 1.25) - ball, out=depth)
    anterior = anatomy[1] > border * length / 2
    whole = _largest_component(depth < 0)
    front = _largest_component(whole & anterior)
    back = _largest_component(whole & ~anterior)
    return depth, (front + 2 * back).astype(np.uint8)


def _largest_component(mask: np.ndarray) -> np.ndarray:
    """Without the crumbs that a coarse grid cuts off at a thin tip or at the border of the parts."""
    from scipy import ndimage

    number, _ = ndimage.label(mask)
    sizes = np.bincount(number.ravel())
    return number == sizes[1:].argmax() + 1


def _surroundings(rng: np.random.Generator, grid: _Grid, anatomy: np.ndarray) -> np.ndarray:
    """Tissue without the structure: grey folds and nodules, a dark cavity, a bright vessel."""
    canvas = np.full(grid.shape, _WHITE)
    folds = np.abs(grid.noise(rng, rng.uniform(4.0, 5.0)))
    paint(canvas, _FOLD, inside(folds - 0.42, 0.1))
    # Fluid shows in the depth of a fold only where the fold gapes.
    paint(canvas, _FLUID, inside(folds - 0.12 * np.clip(grid.noise(rng, 6.0), 0.0, 1.0), 0.06))
    peduncle = _ellipsoid_mm(anatomy, rng.uniform((-16, 0, -13), (-12, 4, -9)), rng.uniform(6.5, 9.0, 3))
    paint(canvas, _WHITE * 1.2, inside(peduncle, _EDGE_MM * 2))
    for _ in range(4):
        centre = rng.uniform((-16, -22, -15), (16, 22, 15))
        paint(canvas, _GREY, inside(_ellipsoid_mm(anatomy, centre, rng.uniform(2.5, 5.5, 3)), _EDGE_MM))
    cavity = _tube_mm(rng, anatomy, (10.5, -4, 6.5), (0, rng.uniform(9, 14), 0), rng.uniform(2.0, 3.4))
    paint(canvas, _FLUID, inside(cavity + 0.5 * grid.noise(rng, 3.0), _EDGE_MM))
    vessel = _tube_mm(rng, anatomy, (-9, 0, -8), _direction(rng) * 22, rng.uniform(0.9, 1.3))
    paint(canvas, _BRIGHT, inside(vessel, _EDGE_MM))
    for _ in range(3):
        centre = rng.uniform((-16, -22, -15), (16, 22, 15))
        paint(canvas, _BRIGHT, inside(_ellipsoid_mm(anatomy, centre, rng.uniform(1.2, 2.0, 3)), _EDGE_MM))
    return canvas


def _ellipsoid_mm(anatomy: np.ndarray, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Distance to an ellipsoid, exact for balls and close enough near the edge of others."""
    scaled = (anatomy - centre[:, None, None, None]) / radii[:, None, None, None]
    return (np.sqrt((scaled**2).sum(axis=0)) - 1.0) * radii.min()


def _tube_mm(
    rng: np.random.Generator,
    anatomy: np.ndarray,
    centre: Sequence[float],
    half: Sequence[float] | np.ndarray,
    radius_mm: float,
) -> np.ndarray:
    """Signed distance to a bent tube around a centre, which reaches ``half`` to either side."""
    middle, reach, bend = np.array(centre) + rng.uniform(-1.5, 1.5, 3), np.array(half), rng.uniform(-4, 4, 3)
    distance = np.full(anatomy.shape[1:], np.inf)
    for along in np.linspace(-1.0, 1.0, 41):
        point = middle + along * reach + (along**2 - 0.3) * bend
        squares = ((anatomy - point[:, None, None, None]) ** 2).sum(axis=0)
        np.minimum(distance, squares, out=distance)
    return np.sqrt(distance) - radius_mm


def _acquire(rng: np.random.Generator, grid: _Grid, tissue: np.ndarray) -> np.ndarray:
    """What the scanner makes of the tissue: texture, blur, bias field, Rician noise, a scale of its own."""
    from scipy import ndimage

    signal = tissue * (1.0 + 0.04 * grid.noise(rng, 1.5))
    signal = ndimage.gaussian_filter(signal, 0.45) * np.exp(0.18 * grid.noise(rng, 16.0))
    sigma = rng.uniform(0.06, 0.11)
    signal = np.hypot(signal + sigma * rng.standard_normal(grid.shape), sigma * rng.standard_normal(grid.shape))
    maximum = 10.0 ** rng.uniform(2.0, 5.0)
    scaled = signal * (maximum / signal.max())
    whole = maximum < np.iinfo(np.int16).max and rng.random() < 0.7
    return np.rint(scaled).astype(np.int16) if whole else scaled.astype(np.float32)


def _dataset_json(seed: int) -> bytes:
    training = [f"volume_{index:03d}.nii.gz" for index in range(N_TRAINING)]
    test = [f"volume_{index:03d}.nii.gz" for index in range(N_TRAINING, N_TRAINING + N_TEST)]
    content = {
        "name": "monai-seg sample volumes",
        "description": "Synthetic: one bent structure in two adjoining parts, amid look-alikes",
        "reference": f"generated by monai-seg, version {VERSION} of the generator, seed {seed}",
        "licence": "CC0-1.0",
        "release": f"{VERSION}.0",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": LABELS,
        "numTraining": N_TRAINING,
        "numTest": N_TEST,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in training],
        "test": [f"./imagesTs/{name}" for name in test],
    }
    return (json.dumps(content, indent=2) + "\n").encode()
