"""Predictions of an evaluation as files and pictures."""

from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from monai_seg.engines import RunFolder
from monai_seg.inference import PredictionFiles, prediction_files
from monai_seg.inference.label_map_file import ClassMaskError
from monai_seg.inference.prediction_files import NameCollisionError

PREDICTION = torch.tensor([[[0, 1, 2], [2, 1, 0]]])
MASKS = torch.tensor([[[0, 1, 1], [0, 0, 0]], [[0, 0, 1], [1, 0, 1]]]).float()


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(path)
    return str(path)


def engine_of(files: list[str], *predictions: torch.Tensor) -> Engine:
    """An evaluator that has just finished one batch of these files, as lists of samples."""

    def step(engine, batch):
        zeros = torch.zeros(predictions[0].shape)
        engine.state.batch = [{"image": MetaTensor(zeros, meta={"filename_or_obj": file})} for file in files]
        return [{"pred": p, "image": MetaTensor(zeros), "label": MetaTensor(zeros)} for p in predictions]

    engine = Engine(step)
    engine.data_loader = SimpleNamespace(dataset=SimpleNamespace(data=[{"image": file} for file in files]))
    return engine


def run(handler: PredictionFiles, engine: Engine, batches: int = 1) -> None:
    handler.attach(engine)
    engine.run(range(batches))


def test_a_folder_gets_label_maps_alone(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in ("a", "b.1")]
    run(PredictionFiles(output_dir=str(tmp_path / "out")), engine_of(files, PREDICTION, 2 - PREDICTION))
    assert sorted(path.name for path in tmp_path.joinpath("out").rglob("*")) == ["a.png", "b.1.png"]
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).tolist() == PREDICTION[0].tolist()
    assert np.asarray(Image.open(tmp_path / "out" / "b.1.png")).tolist() == (2 - PREDICTION[0]).tolist()


def test_a_run_folder_gets_label_maps_and_pictures_of_the_first_cases(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in "abc"]
    folder = RunFolder(tmp_path, run_dir=tmp_path / "run")
    run(PredictionFiles(folder, figure_count=2), engine_of(files, *[PREDICTION] * 3))
    assert sorted(path.name for path in folder.predictions.iterdir()) == ["a.png", "b.png", "c.png"]
    assert sorted(path.name for path in folder.figures.iterdir()) == ["a.png", "b.png"]
    assert Image.open(folder.figures / "a.png").size == (4 * 246, 26 + 246 + 26)


def test_a_volume_keeps_its_geometry(tmp_path):
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), affine), tmp_path / "a.nii.gz")
    prediction = PREDICTION[..., None].expand(1, 2, 3, 4).float()
    run(PredictionFiles(output_dir=tmp_path / "out"), engine_of([str(tmp_path / "a.nii.gz")], prediction))
    written = nib.load(tmp_path / "out" / "a.nii.gz")
    assert np.array_equal(written.affine, affine)
    assert np.array_equal(np.asanyarray(written.dataobj), prediction[0].numpy())


def test_classes_that_overlap_have_a_mask_each(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in "ab"]
    folder = RunFolder(tmp_path, run_dir=tmp_path / "run")
    run(PredictionFiles(folder, class_names=["building", "tree"]), engine_of(files, MASKS, 1 - MASKS))
    found = sorted(path.relative_to(folder.predictions).as_posix() for path in folder.predictions.rglob("*.*"))
    assert found == ["building/a.png", "building/b.png", "tree/a.png", "tree/b.png"]
    for name, masks in (("a", MASKS), ("b", 1 - MASKS)):
        for class_name, mask in zip(("building", "tree"), masks, strict=True):
            written = np.asarray(Image.open(folder.predictions / class_name / f"{name}.png"))
            assert written.dtype == np.uint8
            assert written.tolist() == mask.tolist()
    assert Image.open(folder.figures / "a.png").size == (4 * 246, 26 + 2 * 246 + 26)


@pytest.mark.parametrize(
    ("masks", "class_names", "message"),
    [
        (MASKS, [], "a.png has 2 channels, class_names names 0"),
        (MASKS, ["building"], "a.png has 2 channels, class_names names 1"),
        (MASKS * 0.7, ["building", "tree"], "from 0 to 0.7, no masks"),
        (MASKS * float("nan"), ["building", "tree"], "no masks"),
    ],
)
def test_channels_that_are_no_masks_of_the_classes_are_refused(masks, class_names, message, tmp_path):
    files = [picture(tmp_path / "in" / "a.png")]
    with pytest.raises(ClassMaskError, match=message):
        run(PredictionFiles(output_dir=tmp_path / "out", class_names=class_names), engine_of(files, masks))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("both", [True, False])
def test_one_place_is_needed_and_no_more(tmp_path, both):
    places = {"run_folder": RunFolder(tmp_path), "output_dir": tmp_path} if both else {}
    with pytest.raises(ValueError, match="give either run_folder or output_dir"):
        PredictionFiles(**places)


def test_inputs_of_one_name_in_two_folders_keep_their_folders(tmp_path):
    files = [
        picture(tmp_path / part / name) for part, name in (("left", "a.png"), ("right", "a.png"), ("right", "b.png"))
    ]
    run(PredictionFiles(output_dir=tmp_path / "out"), engine_of(files, PREDICTION, 2 - PREDICTION, PREDICTION))
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert written == {"left/a.png", "right/a.png", "right/b.png"}
    left, right = (np.asarray(Image.open(tmp_path / "out" / part / "a.png")) for part in ("left", "right"))
    assert np.array_equal(left, 2 - right)


def test_two_inputs_of_one_name_in_one_folder_are_refused_before_anything_is_predicted(tmp_path):
    files = [picture(tmp_path / "in" / name) for name in ("a.png", "a.bmp")]
    with pytest.raises(NameCollisionError) as caught:
        run(PredictionFiles(output_dir=tmp_path / "out"), engine_of(files, PREDICTION, PREDICTION))
    assert all(file in str(caught.value) for file in files)
    assert not (tmp_path / "out").exists()


def test_a_long_evaluation_says_how_far_it_is_and_a_short_one_nothing(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "monai_seg")
    files = [picture(tmp_path / "in" / "a.png")]
    for seconds, expected in ((0.5, ["5 of 6 cases"]), (0.01, [])):
        now = iter([index * seconds for index in range(100)])
        monkeypatch.setattr(prediction_files.time, "monotonic", lambda now=now: next(now))
        caplog.clear()
        run(PredictionFiles(output_dir=tmp_path / "out"), engine_of(files, PREDICTION), batches=6)
        assert caplog.messages[:1] == expected
