"""Bad input: every fault in one list, before a run folder is made."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundle_helpers import (
    HIPPOCAMPUS,
    MEMBRANE,
    REPOSITORY,
    Task,
    as_arguments,
    command,
    quietly,
    refused,
    run,
    save_picture,
    save_volume,
    write_pictures,
    write_volumes,
)

from monai_seg.data import DataError, LayoutError


def spoiled(tmp_path: Path, name: str, overrides: dict | None = None) -> Task:
    write = write_volumes if name == HIPPOCAMPUS else write_pictures
    return Task(name, write(tmp_path / "data", 8), overrides or {})


def assert_refused(task: Task, tmp_path: Path, *texts: str) -> None:
    for run_id in ("training", "evaluating"):
        with refused(DataError, *texts):
            run(task, run_id, run_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [HIPPOCAMPUS, MEMBRANE], ids=["hippocampus", "membrane"])
def test_missing_folder(name, tmp_path):
    assert_refused(Task(name, tmp_path / "nowhere"), tmp_path, "1 fault in", "nowhere")


@pytest.mark.parametrize("name", [HIPPOCAMPUS, MEMBRANE], ids=["hippocampus", "membrane"])
def test_empty_folder(name, tmp_path):
    (tmp_path / "data").mkdir()
    assert_refused(Task(name, tmp_path / "data"), tmp_path, "1 fault in", "images/")


def test_all_faults_of_volumes_in_one_list(tmp_path):
    task = spoiled(tmp_path, HIPPOCAMPUS)
    images, labels = task.data / "imagesTr", task.data / "labelsTr"
    (labels / "case_00.nii.gz").unlink()
    first = nib.load(images / "case_02.nii.gz")
    save_volume(labels / "case_02.nii.gz", np.ones((20, 24, 15), np.uint8), first.affine)
    shifted = first.affine.copy()
    shifted[0, 3] += 30
    save_volume(labels / "case_04.nii.gz", np.ones((20, 24, 16), np.uint8), shifted)
    seven = np.ones((20, 24, 16), np.uint8)
    seven[3, 4, 5] = 7
    save_volume(labels / "case_06.nii.gz", seven, first.affine)
    whole = (images / "case_01.nii.gz").read_bytes()
    (images / "case_01.nii.gz").write_bytes(whole[: len(whole) // 2])
    holes = first.get_fdata().astype(np.float32)
    holes[0, 0, :3] = np.nan
    save_volume(images / "case_02.nii.gz", holes, first.affine)
    assert_refused(
        task, tmp_path, "6 faults in",
        "case case_00: the image has no label", "labelsTr/case_00",
        "case case_02: image and label differ in size", "20 x 24 x 16", "20 x 24 x 15",
        "case case_02: the image holds NaN or infinite values", "3 of 7,680 values",
        "case case_04: image and label differ in origin",
        "case case_06: the label holds unknown values", "7 (1 voxel)",
        "case case_01: the image is", "imagesTr/case_01.nii.gz",
    )  # fmt: skip


def test_all_faults_of_pictures_in_one_list(tmp_path):
    task = spoiled(tmp_path, MEMBRANE)
    (task.data / "masks" / "section_00.png").unlink()
    save_picture(task.data / "masks" / "section_01.png", np.zeros((64, 48), np.uint8))
    save_picture(task.data / "masks" / "section_02.png", np.full((64, 64), 128, np.uint8))
    whole = (task.data / "images" / "section_03.png").read_bytes()
    (task.data / "images" / "section_03.png").write_bytes(whole[: len(whole) // 2])
    (task.data / "masks" / "section_04.png").write_bytes(b"no picture")
    save_picture(task.data / "images" / "section_05.png", np.zeros((64, 64, 3), np.uint8))
    assert_refused(
        task, tmp_path,
        "section_00: the image has no mask",
        "section_01: image and label differ in size", "64 x 64 px", "48 x 64 px",
        "section_02: the label holds unknown values", "128 (4,096 pixels)",
        "section_03: the image is", "images/section_03.png",
        "section_04: the label", "masks/section_04.png",
        "section_05: 3 channels where 1 expected",
    )  # fmt: skip


def test_volumes_for_the_bundle_of_pictures(tmp_path):
    task = Task(MEMBRANE, write_volumes(tmp_path / "data", 4))
    assert_refused(task, tmp_path, "case_03: the image is 3D where 2D is expected")


def test_too_few_cases_to_split(tmp_path):
    task = Task(MEMBRANE, write_pictures(tmp_path / "data", 2), {"crop_size": [32, 32], "roi_size": [32, 32]})
    with refused(ValueError, "2 cases in 2 groups cannot fill 3 sections"):
        run(task, "training", run_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_inference_names_an_input_that_is_not_there(tmp_path, membrane, finished_runs):
    with refused(LayoutError, "new.png"):
        run(
            membrane, "inferring", dataset_dir=str(tmp_path / "new.png"), run_dir=str(finished_runs(membrane).path),
            output_dir=str(tmp_path / "out"),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["unknown key", "bad data"])
def test_in_a_terminal_the_error_is_short(fault, tmp_path):
    task = spoiled(tmp_path, MEMBRANE)
    if fault == "bad data":
        (task.data / "masks" / "section_00.png").unlink()
        arguments, text = [], "1 fault in"
    else:
        arguments, text = ["--learning_rte", "0.5"], "unknown key 'learning_rte': did you mean 'learning_rate'?"
    file = str(task.config("train.yaml").relative_to(REPOSITORY))
    settings = as_arguments(task, run_dir=tmp_path / "run")
    ended = quietly(command("training", "--config_file", file, *settings, *arguments), cwd=REPOSITORY)
    assert ended.returncode != 0
    assert f"error: {text}" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert not (tmp_path / "run").exists()
