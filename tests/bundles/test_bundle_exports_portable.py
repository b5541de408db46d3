"""Portable exports run in a second environment, under MONAI and without our package, and predict as we do."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bundle_helpers import FinishedRun
from bundle_tasks import MEMBRANE, TASKS, Task
from emotion_task import EMOTIONS
from exported_predictions import (
    assert_same_predictions,
    finished_run,
    images_of_test,
    places_of_the_machine,
    predictions,
)
from instance_task import INSTANCES
from PIL import Image

from monai_seg.sharing.export.exporting import ExportOptions, export_bundle

Python = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Portable:
    """A finished run and its portable export, unpacked."""

    run: FinishedRun
    folder: Path


@pytest.fixture(scope="session")
def plain_python(tmp_path_factory) -> Python:
    """A second environment with the packages of this one, but for those that are installed by a .pth file: as ours."""
    home = tmp_path_factory.mktemp("plain")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=300)
    interpreter = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    # Python reads no .pth file in a folder that a .pth file names.
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    elsewhere = tmp_path_factory.mktemp("desk")

    def run(*words: object, cwd: Path = elsewhere) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        words = (interpreter, *words)
        return subprocess.run(
            [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip

    return run


def portable(request: pytest.FixtureRequest, task: Task, place: Path) -> Portable:
    run = finished_run(request, task)
    export_bundle(run.task.root, run.path, place / "sent.zip", ExportOptions("portable"))
    folder = place / run.task.name
    with zipfile.ZipFile(place / "sent.zip") as sent:
        sent.extractall(folder)
    return Portable(run, folder)


@pytest.fixture(scope="module")
def membrane_export(request, tmp_path_factory) -> Portable:
    """That of membranes; leave it as it is."""
    return portable(request, MEMBRANE, tmp_path_factory.mktemp("portable"))


def test_the_second_environment_has_monai_and_not_our_package(plain_python):
    found = plain_python("-c", "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('monai', 'torch')])")
    assert found.stdout == "[True, True]\n", found.stderr
    ours = plain_python("-c", "import monai_seg")
    assert ours.returncode == 1
    assert "No module named 'monai_seg'" in ours.stderr


def assert_it_predicts_as_we_do(made: Portable, plain_python: Python, place: Path) -> None:
    images = images_of_test(made.run)
    (place / "images").mkdir()
    copies = [shutil.copy(image, place / "images" / _name_apart(image)) for image in images]
    own = predictions(made.run.task.root, place / "own", copies, run=made.run.path)
    words = ["run", "--config_file", made.folder / "configs" / "inference.json"]
    words += ["--dataset_dir", place / "images", "--output_dir", "found"]
    done = plain_python("-m", "monai.bundle", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    # Equal voxels; what is a number may differ by the rounding of another order of sums.
    assert_same_predictions(own, place / "found", copies, tolerance=1e-4)


def _name_apart(image: str) -> str:
    """Images of class folders bear the same names."""
    return f"{Path(image).parent.name}_{Path(image).name}"


def test_membranes_are_predicted_as_we_do(membrane_export, plain_python, tmp_path):
    assert_it_predicts_as_we_do(membrane_export, plain_python, tmp_path)
    maps = [np.asarray(Image.open(path)) for path in (tmp_path / "found").glob("*.png")]
    assert np.unique(np.stack(maps)).tolist() == [0, 1]  # not merely nothing, twice


@pytest.mark.slow
def test_its_self_test_passes(membrane_export, plain_python):
    done = plain_python(membrane_export.folder / "scripts" / "self_test.py")
    assert done.returncode == 0, done.stderr
    assert "pixels differ" in done.stdout
    assert done.stdout.endswith("the bundle predicts here as it did where it was made\n")


@pytest.mark.slow
def test_its_self_test_fails_where_the_sample_is_another_one(membrane_export, plain_python, tmp_path):
    folder = shutil.copytree(membrane_export.folder, tmp_path / "bundle")
    (mask,) = (folder / "sample" / "expected").iterdir()
    Image.fromarray(1 - np.asarray(Image.open(mask))).save(mask)
    done = plain_python(folder / "scripts" / "self_test.py")
    assert done.returncode == 1
    assert f"SelfTestError: {mask.name}: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [task for task in (*TASKS, INSTANCES, EMOTIONS) if task is not MEMBRANE], ids=lambda task: task.name
)
def test_every_other_bundle_predicts_as_we_do(task, request, plain_python, tmp_path):
    made = portable(request, task, tmp_path)
    (tmp_path / "desk").mkdir()
    assert_it_predicts_as_we_do(made, plain_python, tmp_path / "desk")
    assert places_of_the_machine(content_of(made.folder), made.run) == []
    assert_names_nothing_of_ours(made.folder)


def test_the_portable_form_tells_nothing_of_the_machine_and_names_nothing_of_ours(membrane_export):
    assert places_of_the_machine(content_of(membrane_export.folder), membrane_export.run) == []
    assert_names_nothing_of_ours(membrane_export.folder)


def content_of(folder: Path) -> bytes:
    """All files, and what lies in those that are archives themselves."""
    found = b""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found += content
        if path.suffix in (".pt", ".pt2"):
            with zipfile.ZipFile(io.BytesIO(content)) as inside:
                found += b"".join(inside.read(name) for name in inside.namelist())
    return found


def assert_names_nothing_of_ours(folder: Path) -> None:
    meta = json.loads((folder / "configs" / "metadata.json").read_text())
    assert meta["export_form"] == "portable"
    assert "monai-seg" not in meta["required_packages_version"]
    configuration = (folder / "configs" / "inference.json").read_text()
    assert "monai_seg" not in configuration
    assert '"run"' in configuration
    assert not list(folder.rglob("__pycache__"))
