"""What the bundle tests share: tiny data, a workflow in this process, and the error behind MONAI's wrapping."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, create_workflow
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
HIPPOCAMPUS, MEMBRANE = "hippocampus_mri_segmentation", "membrane_em_segmentation"
TRAINING_ONLY = ("batch_size", "max_epochs", "val_interval", "crop_size")
TINY = {
    "network_def#features": [4, 4, 4, 4, 4, 4],
    "batch_size": 2,
    "max_epochs": 2,
    "val_interval": 1,
    "amp": False,
    "device": "$torch.device('cpu')",
}


@dataclass(frozen=True)
class Task:
    """A bundle with tiny data for it."""

    name: str
    data: Path
    overrides: dict[str, Any] = field(default_factory=dict)

    def config(self, file: str) -> Path:
        return REPOSITORY / "bundles" / self.name / "configs" / file


def workflow(task: Task, run_id: str, **overrides: Any) -> ConfigWorkflow:
    """The bundle in this process, ready to run, with a tiny network."""
    is_inference = run_id == "inferring"
    settings = {"dataset_dir": str(task.data), **TINY, **task.overrides, **overrides}
    if is_inference:
        settings = {key: value for key, value in settings.items() if key not in TRAINING_ONLY}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="parsing config_file")  # MONAI: a configuration is code
        bundle = create_workflow(
            config_file=str(task.config("inference.yaml" if is_inference else "train.yaml")),
            workflow_type="infer" if is_inference else "train",
            run_id=run_id,
            logging_file=False,  # it would replace the handlers that pytest listens with
            **settings,
        )
    bundle.bundle_root  # the property knows where the bundle lies; its parser, asked by itself, would not
    return bundle


def run(task: Task, run_id: str, **overrides: Any) -> None:
    workflow(task, run_id, **overrides).run()


def command(*arguments: str, processes: int = 0) -> list[str]:
    """``python -m monai.bundle run ...``, under ``torchrun`` where there are processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes else []
    module = ["-m", "monai.bundle", "run", *arguments]
    return [sys.executable, *launcher, *module]


def as_arguments(task: Task, **overrides: Any) -> list[str]:
    """Overrides as a command line."""
    settings = {"dataset_dir": task.data, **TINY, **task.overrides, **overrides}
    return [text for key, value in settings.items() for text in (f"--{key}", str(value))]


def quietly(arguments: list[str], cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command on one thread, without a GPU."""
    return subprocess.run(
        arguments, cwd=cwd, env=single_threaded(), capture_output=True, text=True, timeout=1500, check=False, **options
    )


def single_threaded() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def refused(kind: type[BaseException], *texts: str) -> Iterator[None]:
    """Expect an error of this kind, however deep MONAI wraps it, whose text holds all of these."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the kind is looked for along the causes
        yield
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    assert error is not None, f"no {kind.__name__} behind {caught.value!r}"
    for text in texts:
        assert text in str(error)


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def assert_same_tensors(one: Any, two: Any, where: str = "") -> None:
    """Bit-identical tensors and equal values, all the way down."""
    assert type(one) is type(two), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            assert_same_tensors(one[key], two[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for index, pair in enumerate(zip(one, two, strict=True)):
            assert_same_tensors(*pair, f"{where}/{index}")
    else:
        assert one == two, where


def write_volumes(folder: Path, count: int, seed: int = 0) -> Path:
    """Volumes in the Decathlon's layout with two adjoining labels; every other one is oblique and anisotropic."""
    for number in range(count):
        affine = OBLIQUE_LPS if number % 2 else np.diag([1.0, 1.0, 1.0, 1.0])
        image, label = _blob((20, 24, 16), seed=1000 * seed + number)
        upper = np.arange(24)[None, :, None] >= 12
        save_volume(folder / "imagesTr" / f"case_{number:02}.nii.gz", image, affine)
        save_volume(folder / "labelsTr" / f"case_{number:02}.nii.gz", label * (1 + upper).astype(np.uint8), affine)
    return folder


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Pictures in the layout ``pairs``: bright discs on noise; in the masks the disc is 0 and the rest 255."""
    for number in range(count):
        image, label = _blob((64, 64), seed=1000 * seed + number)
        save_picture(folder / "images" / f"section_{number:02}.png", np.clip(image, 0, 255).astype(np.uint8))
        save_picture(folder / "masks" / f"section_{number:02}.png", np.where(label, 0, 255).astype(np.uint8))
    return folder


def save_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = nib.Nifti1Image(values, affine)
    volume.set_sform(affine, 1)
    volume.set_qform(affine, 1)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = b"made by a test"
    nib.save(volume, path)


def save_picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def _blob(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
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
