"""The bundles as the tests know them: what their files hold, what their networks see, and how to make them tiny."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
TINY = {"batch_size": 2, "max_epochs": 2, "val_interval": 1, "amp": False, "device": "$torch.device('cpu')"}


@dataclass(frozen=True, eq=False)
class Task:
    """A bundle, with data for it once `on` has said where.

    Args:
        name: of the bundle.
        class_names, metrics: in its tables.
        label_values: in its mask files, of background and of each class.
        image_file, mask_file: where case number ``{}`` lies in a data set.
        shape: of a tiny image.
        channels: of an image, as the network sees it.
        training_size: of what the network sees in training.
        intensity_limit: the largest absolute value that it sees there.
        overrides: what makes network and images tiny; those that inference does not know are left out there.
        seen: what validation and inference show the network of a file's values; None where axes are turned too.
        real: folder of real pairs of image and mask beside the checkout, if there is one.
        data: the data set.
    """

    name: str
    class_names: Sequence[str]
    metrics: Sequence[str]
    label_values: Sequence[int]
    image_file: str
    mask_file: str
    shape: tuple[int, ...]
    channels: int
    training_size: tuple[int, ...]
    intensity_limit: float
    overrides: Mapping[str, Any]
    seen: Callable[[np.ndarray], np.ndarray] | None = None
    real: str = ""
    data: Path = Path("no data yet")

    @property
    def root(self) -> Path:
        return REPOSITORY / "bundles" / self.name

    @property
    def settings(self) -> dict[str, Any]:
        return {"dataset_dir": str(self.data), **TINY, **self.overrides}

    def config(self, file: str) -> Path:
        return self.root / "configs" / file

    def on(self, data: Path, **changes: Any) -> Task:
        """The same task with other data, and with further overrides."""
        return replace(self, data=data, overrides={**self.overrides, **changes})

    def write(self, folder: Path, count: int, seed: int = 0, shape: tuple[int, ...] = (), first: int = 0) -> Path:
        """Make a data set: ellipsoids brighter than the noise around them, cut into as many parts as there are classes.

        Every other volume is oblique and anisotropic.
        """
        for number in range(first, first + count):
            image, inside = _ellipsoid(shape or self.shape, seed=1000 * seed + number)
            part = 1 + np.arange(image.shape[1]) * len(self.class_names) // image.shape[1]
            labels = inside * part.reshape(-1, *[1] * (image.ndim - 2))
            mask = np.array(self.label_values, np.uint8)[labels]
            if image.ndim == 2:
                image = np.clip(image, 0, 255).astype(np.uint8)
                image = image if self.channels == 1 else np.stack([image, image // 2, 255 - image], axis=-1)
            affine = OBLIQUE_LPS if number % 2 else np.eye(4)
            save(folder / self.image_file.format(number), image, affine)
            save(folder / self.mask_file.format(number), mask, affine)
        return folder

    def labels(self, mask_file: Path | str) -> np.ndarray:
        """Class indices in a mask file; 255 where its value is that of no class."""
        values = array(mask_file)
        found = [values == value for value in self.label_values]
        return np.select(found, range(len(found)), 255).astype(np.uint8)


def array(path: Path | str) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj) if str(path).endswith(".nii.gz") else np.asarray(Image.open(path))


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write a volume or a picture, as the extension says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.name.endswith(".nii.gz"):
        Image.fromarray(values).save(path)
        return
    volume = nib.Nifti1Image(values, affine)
    volume.set_sform(affine, 1)
    volume.set_qform(affine, 1)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = b"made by a test"
    nib.save(volume, path)


def _ellipsoid(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid near the centre, brighter than the noise around it, and its mask."""
    draw = np.random.default_rng(seed)
    centre = np.array(shape) / 2 + draw.uniform(-1, 1, len(shape))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    inside = (((grid - centre) / (np.array(shape) * 0.3)) ** 2).sum(-1) < 1
    return (60 + 90 * inside + draw.normal(0, 15, shape)).astype(np.float32), inside.astype(np.uint8)


def _oblique() -> np.ndarray:
    """Axes to the left, posterior and superior, turned by 20 degrees, voxels of 0.9 x 1.1 x 1.6 mm."""
    turn = np.deg2rad(20)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-0.9, -1.1, 1.6])
    affine[:3, 3] = [31.5, -12.25, 7.75]
    return affine


OBLIQUE_LPS = _oblique()


def _z_scores(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean()) / values.std())[None]


def _colours(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values[..., :3], -1, 0) / 255  # an alpha channel is left out


def _squared(values: np.ndarray) -> np.ndarray:
    """The colours of a landscape as wide as the network's square, with black above and below."""
    missing = values.shape[1] - values.shape[0]
    return np.pad(_colours(values), ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))


def _crops(*size: int) -> dict[str, Any]:
    return {"network_def#features": [4] * 6, "crop_size": list(size), "roi_size": list(size)}


HIPPOCAMPUS = Task(
    name="hippocampus_mri_segmentation",
    class_names=["anterior", "posterior"],
    metrics=["dice", "iou", "nsd", "hd95"],
    label_values=[0, 1, 2],
    image_file="imagesTr/case_{:02}.nii.gz",
    mask_file="labelsTr/case_{:02}.nii.gz",
    shape=(20, 24, 16),
    channels=1,
    training_size=(16, 32, 16),
    intensity_limit=30,  # z-scores, stretched a little
    overrides=_crops(16, 32, 16),
    real="hippocampus",
)
MEMBRANE = Task(
    name="membrane_em_segmentation",
    class_names=["membrane"],
    metrics=["dice", "iou", "nsd", "accuracy", "hd95"],
    label_values=[255, 0],
    image_file="images/section_{:02}.png",
    mask_file="masks/section_{:02}.png",
    shape=(64, 64),
    channels=1,
    training_size=(32, 32),
    intensity_limit=30,
    overrides=_crops(32, 32),
    seen=_z_scores,
    real="membranes",
)
FACE = Task(
    name="face_shadow_segmentation",
    class_names=["shadow"],
    metrics=["dice", "iou", "nsd", "accuracy", "hd95"],
    label_values=[0, 255],
    image_file="images/face_{:02}.png",
    mask_file="masks/face_{:02}.png",
    shape=(48, 64),
    channels=3,
    training_size=(64, 64),
    intensity_limit=1.5,  # [0, 1] and noise
    overrides={
        "network_def#encoder": "resnet18",
        "network_def#decoder_channels": [16, 16, 8, 8, 8],
        "image_size": [64, 64],
    },
    seen=_squared,
)
BUILDING = Task(
    name="building_aerial_segmentation",
    class_names=["building"],
    metrics=["dice", "iou", "nsd", "precision", "recall", "hd95"],
    label_values=[0, 1],
    image_file="images/tile_{:02}.png",
    mask_file="masks/tile_{:02}.png",
    shape=(64, 64),
    channels=3,
    training_size=(32, 32),
    intensity_limit=1.5,
    overrides=_crops(32, 32),
    seen=_colours,
    real="buildings",
)
TASKS = (HIPPOCAMPUS, MEMBRANE, FACE, BUILDING)
PICTURE_TASKS = tuple(task for task in TASKS if len(task.shape) == 2)


def short_name(task: Task) -> str:
    """For the ids of tests."""
    return task.name.split("_")[0]
