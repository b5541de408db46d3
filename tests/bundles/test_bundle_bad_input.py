"""Bad input: every fault in one list, before a run folder is made."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundle_helpers import as_arguments, command, quietly, refused, run
from bundle_tasks import BUILDING, FACE, HIPPOCAMPUS, MEMBRANE, REPOSITORY, TASKS, Task, array, save, short_name
from PIL import Image

from monai_seg.data import DataError, LayoutError


def spoilt(task: Task, tmp_path: Path) -> Task:
    """The task with data to spoil."""
    return task.on(task.write(tmp_path / "data", 8))


def assert_refused(task: Task, tmp_path: Path, *texts: str) -> None:
    for run_id in ("training", "evaluating"):
        with refused(DataError, *texts):
            run(task, run_id, run_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", TASKS, ids=short_name)
def test_missing_folder(task, tmp_path):
    assert_refused(task.on(tmp_path / "nowhere"), tmp_path, "1 fault in", "nowhere")


@pytest.mark.parametrize("task", TASKS, ids=short_name)
def test_empty_folder(task, tmp_path):
    (tmp_path / "data").mkdir()
    assert_refused(task.on(tmp_path / "data"), tmp_path, "1 fault in", "images/")


def test_all_faults_of_volumes_in_one_list(tmp_path):
    task = spoilt(HIPPOCAMPUS, tmp_path)
    images, labels = task.data / "imagesTr", task.data / "labelsTr"
    (labels / "case_00.nii.gz").unlink()
    first = nib.load(images / "case_02.nii.gz")
    save(labels / "case_02.nii.gz", np.ones((20, 24, 15), np.uint8), first.affine)
    shifted = first.affine.copy()
    shifted[0, 3] += 30
    save(labels / "case_04.nii.gz", np.ones((20, 24, 16), np.uint8), shifted)
    seven = np.ones((20, 24, 16), np.uint8)
    seven[3, 4, 5] = 7
    save(labels / "case_06.nii.gz", seven, first.affine)
    halve(images / "case_01.nii.gz")
    holes = first.get_fdata().astype(np.float32)
    holes[0, 0, :3] = np.nan
    save(images / "case_02.nii.gz", holes, first.affine)
    assert_refused(
        task, tmp_path, "6 faults in",
        "case case_00: the image has no label", "labelsTr/case_00",
        "case case_02: image and label differ in size", "20 x 24 x 16", "20 x 24 x 15",
        "case case_02: the image holds NaN or infinite values", "3 of 7,680 values",
        "case case_04: image and label differ in origin",
        "case case_06: the label holds unknown values", "7 (1 voxel)",
        "case case_01: the image is", "imagesTr/case_01.nii.gz",
    )  # fmt: skip


def halve(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def test_all_faults_of_pictures_in_one_list(tmp_path):
    task = spoilt(MEMBRANE, tmp_path)
    images, masks = task.data / "images", task.data / "masks"
    (masks / "section_00.png").unlink()
    save(masks / "section_01.png", np.zeros((64, 48), np.uint8))
    save(masks / "section_02.png", np.full((64, 64), 128, np.uint8))
    halve(images / "section_03.png")
    (masks / "section_04.png").write_bytes(b"no picture")
    save(images / "section_05.png", np.zeros((64, 64, 3), np.uint8))
    assert_refused(
        task, tmp_path,
        "section_00: the image has no mask",
        "section_01: image and label differ in size", "64 x 64 px", "48 x 64 px",
        "section_02: the label holds unknown values", "128 (4,096 pixels)",
        "section_03: the image is", "images/section_03.png",
        "section_04: the label", "masks/section_04.png",
        "section_05: 3 channels where 1 expected",
    )  # fmt: skip


VALUES_OF_OTHERS = {
    BUILDING: ([0, 255], "masks are 0 and 255 here but 0 and 1 are expected: divide them by 255"),
    FACE: ([0, 1], "masks are 0 and 1 here but 0 and 255 are expected: multiply them by 255"),
}


@pytest.mark.parametrize("task", VALUES_OF_OTHERS, ids=short_name)
def test_all_faults_of_colour_pictures_in_one_list(task, tmp_path):
    values, hint = VALUES_OF_OTHERS[task]
    task = spoilt(task, tmp_path)
    images, masks = ([task.data / file.format(n) for n in range(7)] for file in (task.image_file, task.mask_file))
    masks[0].unlink()
    save(masks[1], np.zeros((64, 40), np.uint8))
    labels = task.labels(masks[2])
    save(masks[2], np.array(values, np.uint8)[labels])
    masks[3].unlink()
    save(masks[3].with_suffix(".jpg"), 255 * labels)
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(images[4]) as picture:
        picture.save(images[4], exif=turned)
    alpha = np.where(labels, 255, 128).astype(np.uint8)
    save(images[5], np.dstack([array(images[5]), alpha]))
    save(images[6], array(images[6])[..., 0].astype(np.uint16) * 200)
    name = task.image_file.removeprefix("images/").removesuffix(".png").format
    assert_refused(
        task, tmp_path, "7 faults in",
        f"{name(0)}: the image has no mask",
        f"{name(1)}: image and label differ in size",
        f"{name(2)}: the label holds unknown values", hint,
        f"{name(3)}: the label holds unknown values", "JPEG is lossy and alters values along edges",
        f"{name(4)}: the image is turned by an EXIF tag", "orientation 6",
        f"{name(5)}: the image is transparent in places", f"{np.count_nonzero(labels == 0):,} of {labels.size:,}",
        f"{name(6)}: the image has more than 8 bits per channel", "mode I;16",
    )  # fmt: skip


def test_volumes_for_the_bundle_of_pictures(tmp_path):
    task = MEMBRANE.on(HIPPOCAMPUS.write(tmp_path / "data", 4))
    assert_refused(task, tmp_path, "case_03: the image is 3D where 2D is expected")


def test_too_few_cases_to_split(tmp_path):
    task = MEMBRANE.on(MEMBRANE.write(tmp_path / "data", 2))
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
    task = spoilt(MEMBRANE, tmp_path)
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
