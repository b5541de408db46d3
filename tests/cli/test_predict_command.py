"""``monai-seg predict``: files, folders and scenes with bundles in 2D and 3D, and what happens to bad input."""

from __future__ import annotations

import json
import logging
import logging.config
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from monai.networks.nets import BasicUNet
from PIL import Image
from typer.testing import CliRunner

from monai_seg.cli import app
from monai_seg.engines import save_checkpoint
from monai_seg.inference import batch_prediction, prediction_files
from monai_seg.sharing import opening

REPOSITORY = Path(__file__).parents[2]
MEMBRANE, HIPPOCAMPUS = "membrane_em_segmentation", "hippocampus_mri_segmentation"
FEATURES = [4] * 6


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """Two bundles with tiny networks, two runs of each, pictures and volumes."""
    folder = tmp_path_factory.mktemp("desk")
    for name, dims, classes in ((MEMBRANE, 2, 1), (HIPPOCAMPUS, 3, 3)):
        shutil.copytree(REPOSITORY / "bundles" / name, folder / "bundles" / name)
        config = folder / "bundles" / name / "configs" / "inference.yaml"
        text = re.sub(r"features: \[.*\]", f"features: {FEATURES}", config.read_text())
        text = re.sub(r"roi_size: \[.*\]", f"roi_size: {[32] * dims}", text).replace("amp: auto", "amp: false")
        config.write_text(text)
        for number in (1, 2):
            torch.manual_seed(number)
            network = BasicUNet(spatial_dims=dims, in_channels=1, out_channels=classes, features=FEATURES)
            save_checkpoint(folder / "runs" / name / str(number) / "checkpoints" / "best.pt", {"model": network})
    draw = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(draw.integers(0, 256, (70, 50)).astype("u1")).save(folder / "pictures" / name)
    (folder / "volumes").mkdir()
    volume = nib.Nifti1Image(draw.normal(size=(20, 24, 16)).astype("f4"), np.diag([1.0, 1.5, 2.0, 1.0]))
    nib.save(volume, folder / "volumes" / "v.nii.gz")
    return folder


@pytest.fixture
def predict(desk, tmp_path, monkeypatch):
    """Run the command on a bundle; gives the exit code and what it said, tables without their frames."""

    monkeypatch.setenv("COLUMNS", "400")  # a table that is not wrapped can be searched

    def run(name: str, *arguments: object, out: Path = tmp_path / "out") -> tuple[int, str]:
        # The bundles are copies, with other networks: not ours any more.
        words = ["predict", desk / "bundles" / name, *arguments, "-o", out, "--trust"]
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, " ".join(re.sub(r"[│┃┡━╇┩┏┳┓└┘┴─├┤┼]", " ", result.output).split())

    return run


def picture(path: Path, values: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


def test_files_and_folders_of_pictures(desk, predict, tmp_path):
    code, text = predict(MEMBRANE, desk / "pictures" / "a.png", desk / "pictures")
    assert (code, text.endswith(f"2 of 2 inputs predicted, in {tmp_path / 'out'}")) == (0, True)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    assert set(np.unique(np.asarray(Image.open(tmp_path / "out" / "a.png")))) <= {0, 1}


def test_volumes_with_views_and_two_runs(desk, predict, tmp_path):
    runs = [part for number in "12" for part in ("--run", desk / "runs" / HIPPOCAMPUS / number)]
    code, _ = predict(HIPPOCAMPUS, desk / "volumes", "--tta", *runs)
    assert code == 0
    assert nib.load(tmp_path / "out" / "v.nii.gz").shape == (20, 24, 16)
    assert predict(HIPPOCAMPUS, desk / "volumes", *runs[:2], out=tmp_path / "alone")[0] == 0
    together, alone = (nib.load(tmp_path / name / "v.nii.gz").get_fdata() for name in ("out", "alone"))
    assert not np.array_equal(together, alone)


def test_a_scene_is_predicted_as_the_picture_is(desk, predict, tmp_path):
    options = ["--tta", "--threshold", 0.45, "--run", desk / "runs" / MEMBRANE / "1"]
    assert predict(MEMBRANE, desk / "pictures" / "a.png", *options)[0] == 0
    code, text = predict(MEMBRANE, desk / "pictures" / "a.png", *options, "--scene-pixels", 1000, "--probabilities")
    assert code == 0, text
    scene = tifffile.imread(tmp_path / "out" / "a.tif")
    whole = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    probabilities = tifffile.imread(tmp_path / "out" / "a_probabilities.tif")
    assert np.array_equal(scene, probabilities >= 0.45)
    # The z-score is summed in another order: what lies on the threshold may fall to either side.
    near = np.abs(probabilities - 0.45) < 1e-5
    assert np.array_equal(scene[~near], whole[~near])
    assert near.mean() < 0.01


def test_a_georeferenced_picture_keeps_its_place_however_small(predict, tmp_path):
    tags = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 4e5, 5.6e6, 0.0), True)]
    tifffile.imwrite(tmp_path / "geo.tiff", np.eye(40, dtype="u1") * 99, photometric="minisblack", extratags=tags)
    assert predict(MEMBRANE, tmp_path / "geo.tiff")[0] == 0
    with tifffile.TiffFile(tmp_path / "out" / "geo.tiff") as file:
        assert file.pages[0].tags[33922].value == (0.0, 0.0, 0.0, 4e5, 5.6e6, 0.0)


def test_bad_files_cost_the_others_nothing(desk, predict, tmp_path):
    folder, grey = tmp_path / "in", np.random.default_rng(0).integers(0, 256, (40, 40)).astype("u1")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(folder / "rgb.png", np.stack([grey] * 3, -1))
    picture(folder / "turned.jpg", grey, exif=turned)
    (folder / "palette.png").parent.mkdir(exist_ok=True)
    Image.fromarray(grey).quantize(4).save(folder / "palette.png")
    Image.fromarray(grey).convert("LA").save(folder / "alpha.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "broken.png").write_bytes((desk / "pictures" / "a.png").read_bytes()[:1500])
    picture(folder / "deep.png", grey.astype("u2") * 200)
    picture(folder / "pixel.png", grey[:1, :1])
    picture(folder / "same.png", grey)
    picture(folder / "other" / "same.bmp", grey)
    code, text = predict(MEMBRANE, folder, folder / "other", desk / "volumes", tmp_path / "nowhere.png")
    assert code == 1
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["deep.png", "pixel.png", "same.png"]
    for part in (
        "3 channels, the bundle takes 1",
        "turned by an EXIF tag: orientation 6",
        "the image has a palette",
        "the image has an alpha channel: mode LA",
        "the image is an empty file",
        "the image is damaged or truncated",
        "it would get the same prediction as",
        "the image is 3D where 2D is expected",
        "nowhere.png",
        "3 of 12 inputs predicted",
    ):
        assert part in text


def test_a_file_that_breaks_the_workflow_costs_the_others_nothing(desk, predict, tmp_path, monkeypatch):
    for name in "abc":
        shutil.copy(desk / "pictures" / "a.png", tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in "abc"]
    write = prediction_files.write_label_map

    def breaking(labels, file, folder):
        if Path(file).name == "b.png":
            raise MemoryError("no room for b")
        return write(labels, file, folder)

    monkeypatch.setattr(prediction_files, "write_label_map", breaking)
    code, text = predict(MEMBRANE, *files)
    assert (code, "MemoryError: no room for b" in text, "2 of 3 inputs predicted" in text) == (1, True, True)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_what_is_there_is_skipped_or_replaced(desk, predict, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    code, text = predict(MEMBRANE, desk / "pictures" / "a.png")
    assert (code, "--overwrite replaces it" in text) == (1, True)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert predict(MEMBRANE, desk / "pictures" / "a.png", "--overwrite")[0] == 0
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).shape == (70, 50)


def test_an_input_is_never_replaced(desk, predict, tmp_path):
    for name in ("a.png", "b.jpg"):
        shutil.copy(desk / "pictures" / name, tmp_path)
    shutil.copy(desk / "pictures" / "a.png", tmp_path / "b.png")
    before = (tmp_path / "a.png").read_bytes()
    code, text = predict(MEMBRANE, tmp_path, "--overwrite", out=tmp_path)
    assert (code, text.count("would replace the input")) == (2, 3)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("nothing_here", [], "nothing_here mend name the folder of a bundle, or its ZIP"),
        ("../pictures", [], "is no bundle: it has no configs/inference.yaml"),
        (MEMBRANE, ["--run", "no/such/run"], "holds no checkpoints/best.pt"),
        (HIPPOCAMPUS, ["--threshold", "0.3"], "the bundle takes the most likely class; a threshold is for"),
        (MEMBRANE, ["--threshold", "3"], "--threshold"),
    ],
)
def test_refusals(name, arguments, text, desk, predict, tmp_path):
    code, said = predict(name, desk / "pictures", *arguments)
    assert (code, text in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_pictures_for_a_bundle_of_volumes(desk, predict, tmp_path):
    code, text = predict(HIPPOCAMPUS, desk / "pictures", "--scene-pixels", 10)
    assert (code, "a picture has 2 axes, the bundle takes 3" in text) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_bundle_whose_preprocessing_needs_the_whole_image(desk, predict, tmp_path):
    shutil.copytree(desk / "bundles" / MEMBRANE, desk / "bundles" / "stretching")
    config = desk / "bundles" / "stretching" / "configs" / "inference.yaml"
    last = "- {_target_: EnsureTyped"
    config.write_text(config.read_text().replace(last, "- {_target_: ScaleIntensityd, keys: image}\n    " + last))
    run = ["--run", desk / "runs" / MEMBRANE / "1"]
    code, text = predict("stretching", desk / "pictures" / "a.png", *run, "--probabilities")
    assert (code, "holds ScaleIntensityd, which cannot be done tile by tile" in text) == (2, True)
    assert predict("stretching", desk / "pictures" / "a.png", *run, "--scene-pixels", 10)[0] == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.png"]


@pytest.fixture
def colours(desk, tmp_path) -> str:
    """A bundle that reads RGB, with a tiny network and its weights."""
    folder = tmp_path / "colours"
    shutil.copytree(desk / "bundles" / MEMBRANE, folder)
    for name, changes in {
        "inference.yaml": {
            "in_channels: 1": "in_channels: 3",
            "in_channels=1": "in_channels=3, as_rgb=True",
            "reader: PILReader": "reader: $data.RGBReader",
        },
        "metadata.json": {'"num_channels": 1': '"num_channels": 3'},
    }.items():
        text = (folder / "configs" / name).read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new, 1)
        (folder / "configs" / name).write_text(text)
    torch.manual_seed(0)
    network = BasicUNet(spatial_dims=2, in_channels=3, out_channels=1, features=FEATURES)
    save_checkpoint(folder / "models" / "model.pt", {"model": network})
    return str(folder)


def test_colours_are_predicted_and_streamed_alike(colours, predict, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (50, 45, 3)).astype("u1")
    folder = tmp_path / "in"
    picture(folder / "rgb.jpg", rgb)
    picture(folder / "grey.jpg", rgb[..., 0])
    picture(folder / "alpha.png", np.dstack([rgb, np.full((50, 45), 255, "u1")]))
    Image.fromarray(rgb).quantize(9).save(folder / "palette.png")
    picture(folder / "tile.tif", np.dstack([rgb, np.full((50, 45), 255, "u1")]))
    assert predict(colours, folder)[0] == 0
    code, text = predict(colours, folder, "--scene-pixels", 10, "--probabilities", out=tmp_path / "streamed")
    assert code == 0, text
    for file in folder.iterdir():
        ending = ".tif" if file.suffix == ".tif" else ".png"
        whole = np.asarray(Image.open(tmp_path / "out" / f"{file.stem}{ending}"))
        scene = tifffile.imread(tmp_path / "streamed" / f"{file.stem}.tif")
        near = np.abs(tifffile.imread(tmp_path / "streamed" / f"{file.stem}_probabilities.tif") - 0.5) < 1e-4
        assert np.array_equal(scene[~near], whole[~near])
        assert near.mean() < 0.02


def test_a_bundle_of_colours_that_cannot_be_streamed_still_takes_grey(colours, predict, tmp_path):
    config = Path(colours) / "configs" / "inference.yaml"
    last = "- {_target_: EnsureTyped"
    config.write_text(config.read_text().replace(last, "- {_target_: ScaleIntensityd, keys: image}\n    " + last))
    file = picture(tmp_path / "grey.jpg", np.random.default_rng(0).integers(0, 256, (50, 45)).astype("u1"))
    assert predict(colours, file)[0] == 0


def test_bad_colours_cost_the_others_nothing(colours, predict, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (50, 45, 3)).astype("u1")
    folder = tmp_path / "in"
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(folder / "good.png", rgb)
    picture(folder / "hole.png", np.dstack([rgb, rgb[..., 0]]))
    picture(folder / "border.tif", np.dstack([rgb, rgb[..., 0]]))
    picture(folder / "turned.jpg", rgb, exif=turned)
    picture(folder / "deep.png", rgb[..., 0].astype("u2") * 200)
    code, text = predict(colours, folder, "--probabilities")
    assert (code, sorted(file.name for file in (tmp_path / "out").iterdir())) == (
        1, ["good.tif", "good_probabilities.tif"],
    )  # fmt: skip
    for part in ("transparent in places: rows 0 to", "turned by an EXIF tag", "more than 8 bits", "1 of 5 inputs"):
        assert part in text


def test_a_run_is_predicted_with_the_network_that_it_trained(desk, predict, tmp_path):
    definition = {"_target_": "BasicUNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "features": [2] * 6}
    network = BasicUNet(**{key: value for key, value in definition.items() if key != "_target_"})
    save_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt", {"model": network})
    refused = predict(MEMBRANE, desk / "pictures", "--run", tmp_path / "run")
    assert (refused[0], "does not fit this bundle's model" in refused[1]) == (2, True)
    (tmp_path / "run" / "config.yaml").write_text(json.dumps({"network_def": definition}))
    assert predict(MEMBRANE, desk / "pictures", "--run", tmp_path / "run")[0] == 0


LOGGING = """[loggers]
keys=root
[handlers]
keys=evil
[formatters]
keys=
[logger_root]
handlers=evil
[handler_evil]
class=StreamHandler
args=(open('{marker}', 'w'),)
"""


def test_the_logging_conf_of_a_bundle_is_never_evaluated(desk, predict, tmp_path, monkeypatch):
    """Not even where the bundle lies among ours, so that nobody looks at it before."""
    monkeypatch.setattr(opening, "OUR_BUNDLES", tmp_path / "bundles")
    folder = shutil.copytree(desk / "bundles" / MEMBRANE, tmp_path / "bundles" / MEMBRANE)
    (folder / "configs" / "logging.conf").write_text(LOGGING.format(marker=tmp_path / "marker"))
    assert predict(folder, desk / "pictures", "--run", desk / "runs" / MEMBRANE / "1")[0] == 0
    assert not (tmp_path / "marker").exists()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    logging.config.fileConfig(folder / "configs" / "logging.conf", disable_existing_loggers=False)
    assert (tmp_path / "marker").exists()  # as it would be, if anything evaluated it


@pytest.mark.parametrize("top", ["", "cells"], ids=["at its top", "in one folder"])
def test_an_archive_of_a_bundle(top, desk, predict, tmp_path):
    bundle = shutil.copytree(desk / "bundles" / MEMBRANE, tmp_path / "zipped" / top, dirs_exist_ok=True)
    shutil.copy(desk / "runs" / MEMBRANE / "1" / "checkpoints" / "best.pt", bundle / "models" / "model.pt")
    archive = shutil.make_archive(str(tmp_path / "cells"), "zip", tmp_path / "zipped")
    code, text = predict(archive, desk / "pictures")
    assert (code, "cells.zip runs code that is not ours; you trust it with:" in text) == (0, True), text
    assert predict(MEMBRANE, desk / "pictures", "--run", desk / "runs" / MEMBRANE / "1", out=tmp_path / "again")[0] == 0
    for name in ("a.png", "b.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_broken_bundle_is_told_without_a_traceback(desk, predict):
    shutil.copytree(desk / "bundles" / MEMBRANE, desk / "bundles" / "broken")
    config = desk / "bundles" / "broken" / "configs" / "inference.yaml"
    config.write_text(config.read_text().replace("out_channels: 1", "out_channels: none"))
    code, text = predict("broken", desk / "pictures", "--run", desk / "runs" / MEMBRANE / "1")
    assert (code, "error: TypeError: " in text) == (2, True)


@pytest.mark.parametrize("scene_pixels", [10, 10**6], ids=["scene", "picture"])
def test_an_interrupt_keeps_what_was_done(scene_pixels, desk, predict, tmp_path, monkeypatch):
    def interrupted_at_the_second(function):
        calls = []

        def call(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    for module, name in ((prediction_files, "write_label_map"), (batch_prediction, "open_scene")):
        monkeypatch.setattr(module, name, interrupted_at_the_second(getattr(module, name)))
    code, text = predict(MEMBRANE, desk / "pictures", "--scene-pixels", scene_pixels)
    assert (code, "1 of 1 inputs predicted" in text, "interrupted" in text) == (130, True, True)
    assert len(list((tmp_path / "out").iterdir())) == 1
