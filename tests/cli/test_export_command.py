"""``monai-seg export``, ``verify``, ``train``, ``evaluate``: what is written, what goes on from it, what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from monai_seg.cli import app

REPOSITORY = Path(__file__).parents[2]
MEMBRANE = REPOSITORY / "bundles" / "membrane_em_segmentation"
TINY = ["batch_size=2", "val_interval=1", "amp=false", "device=$torch.device('cpu')", "crop_size=[32, 32]"]
TINY += ["roi_size=[32, 32]"]
FEATURES = "network_def#features=[4, 4, 4, 4, 4, 4]"


def command(*words: object) -> tuple[int, str]:
    """Exit code of the command and what it said."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def write_data(folder: Path, seed: int, count: int = 8) -> Path:
    draw = np.random.default_rng(seed)
    for number in range(count):
        mask = np.where(draw.random((8, 8)) < 0.3, 0, 255).repeat(8, 0).repeat(8, 1)
        image = np.clip(mask // 2 + draw.normal(60, 20, mask.shape), 0, 255)
        for kind, values in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(folder / kind / f"section_{number}.png")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """Data, a run that the command has trained and evaluated, and its export."""
    folder = tmp_path_factory.mktemp("desk")
    data, run = write_data(folder / "data", 0), folder / "run"
    for words in (
        ("train", MEMBRANE, f"dataset_dir={data}", f"run_dir={run}", "max_epochs=1", FEATURES, *TINY),
        ("evaluate", MEMBRANE, f"dataset_dir={data}", f"run_dir={run}", FEATURES, *TINY),
        ("export", MEMBRANE, "--run", run, "-o", folder / "cells.zip"),
    ):
        code, said = command(*words)
        assert code == 0, said
    return folder


def test_an_export_is_written_verified_and_predicts(desk, tmp_path):
    assert (desk / "run" / "metrics" / "summary.json").is_file()
    code, said = command("verify", desk / "cells.zip")
    assert (code, said.splitlines()[0]) == (0, "all files are as they were sent, and nothing of them runs")
    assert said.endswith("it predicts here as it did where it was made\n")
    assert "0 of 65,536 pixels differ" in said
    code, said = command("predict", desk / "cells.zip", desk / "data" / "images", "-o", tmp_path / "out")
    assert (code, len(list((tmp_path / "out").glob("*.png")))) == (0, 8), said


def test_training_goes_on_from_the_weights_of_the_export(desk, tmp_path):
    """With a learning rate of 0 what was sent is what comes out; batch norm, which this network lacks, would move."""
    words = (f"dataset_dir={desk / 'data'}", f"run_dir={tmp_path / 'run'}", "max_epochs=1", "learning_rate=0.0", *TINY)
    code, said = command("train", desk / "cells.zip", *words)
    assert code == 0, said
    trained = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["model"]
    with_export = torch.load(desk / "run" / "checkpoints" / "best.pt", weights_only=True)["model"]
    assert trained.keys() == with_export.keys()
    assert all(torch.equal(trained[name], with_export[name]) for name in trained)
    assert len(trained["final_conv.weight"][0]) == 4  # features of the run, which the export tells

    code, said = command("train", MEMBRANE, *words[:1], f"run_dir={tmp_path / 'other'}", *words[2:], FEATURES, "seed=1")
    assert code == 0, said
    scratch = torch.load(tmp_path / "other" / "checkpoints" / "last.pt", weights_only=True)["model"]
    assert not all(torch.equal(scratch[name], with_export[name]) for name in scratch)


def test_an_export_is_evaluated_on_new_data(desk, tmp_path):
    new = write_data(tmp_path / "second_lab", 1, count=3)
    code, said = command("evaluate", desk / "cells.zip", f"dataset_dir={new}", f"run_dir={tmp_path / 'run'}", *TINY)
    assert code == 0, said
    tables = tmp_path / "run" / "external" / "second_lab"
    with (tables / "per_case.csv").open(newline="") as file:
        found = {row["case"]: row for row in csv.DictReader(file)}
    assert len(found) == 3
    # What the run itself says of the same data.
    shutil.copytree(desk / "run", tmp_path / "own")
    code, said = command("evaluate", MEMBRANE, f"dataset_dir={new}", f"run_dir={tmp_path / 'own'}", FEATURES, *TINY)
    assert code == 0, said
    own = json.loads((tmp_path / "own" / "external" / "second_lab" / "summary.json").read_text())
    assert json.loads((tables / "summary.json").read_text()) == own


def test_an_export_is_not_evaluated_on_what_it_was_trained_on(desk, tmp_path):
    for data in (desk / "data", shutil.copytree(desk / "data", tmp_path / "copied")):
        run = tmp_path / f"run_{data.name}"
        code, said = command("evaluate", desk / "cells.zip", f"dataset_dir={data}", f"run_dir={run}", *TINY)
        assert code == 2, said
        assert "trained on" in said
        assert not list(run.glob("external/*/summary.json"))


def test_an_evaluation_never_goes_into_a_run_that_is_there(desk, tmp_path):
    run = shutil.copytree(desk / "run", tmp_path / "run")
    new = write_data(tmp_path / "new", 1, count=2)
    code, said = command("evaluate", desk / "cells.zip", f"dataset_dir={new}", f"run_dir={run}", *TINY)
    assert (code, "holds a run already" in said) == (2, True)


# --- what is refused


def test_an_archive_that_is_there_stays_unless_told(desk, tmp_path):
    archive = tmp_path / "cells.zip"
    archive.write_bytes(b"mine")
    code, said = command("export", MEMBRANE, "--run", desk / "run", "-o", archive)
    assert (code, archive.read_bytes()) == (2, b"mine")
    assert "is there already" in said
    assert "--overwrite" in said
    code, said = command("export", MEMBRANE, "--run", desk / "run", "-o", archive, "--overwrite")
    assert (code, archive.read_bytes()) == (0, (desk / "cells.zip").read_bytes()), said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--form", "tarball"], "form is 'tarball'; give safe or portable"),
        (["--also", "onnx"], "onnx in a safe export\n  mend   --form portable"),
        (["--form", "portable", "--also", "caffe"], "caffe is no form of a network; known are onnx, openvino"),
        (["--sample", "no_such_image.png"], "no_such_image.png"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(words, text, desk, tmp_path):
    code, said = command("export", MEMBRANE, "--run", desk / "run", "-o", tmp_path / "cells.zip", *words)
    assert (code, text in said) == (2, True), said
    assert list(tmp_path.iterdir()) == []


def test_no_run_no_bundle_and_a_hub_folder_that_is_there_are_refused(desk, tmp_path):
    (tmp_path / "hub").mkdir()
    for words, text in (
        ((MEMBRANE, "--run", tmp_path / "hub"), "holds no checkpoints/best.pt"),
        ((tmp_path / "hub", "--run", desk / "run"), "is no bundle"),
        ((MEMBRANE, "--run", desk / "run", "--to-hub", tmp_path / "hub"), "hub is there already"),
    ):
        code, said = command("export", *words, "-o", tmp_path / "cells.zip")
        assert (code, text in said) == (2, True), said
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_changed_export_and_a_bundle_of_ours_are_not_verified(desk, tmp_path):
    changed = bytearray((desk / "cells.zip").read_bytes())
    changed[changed.index(b"BasicUNet")] ^= 1
    (tmp_path / "changed.zip").write_bytes(changed)
    for path, text in (
        (tmp_path / "changed.zip", "refused"),
        (MEMBRANE, "no export"),
        (tmp_path / "no.zip", "there is no"),
    ):
        code, said = command("verify", path)
        assert (code, text in said) == (2, True), said


@pytest.mark.parametrize("words", [["max_epochs"], ["=3"], ["max_epoch=3"]])
def test_a_setting_that_sets_nothing_is_refused(words, desk, tmp_path):
    run = f"run_dir={tmp_path / 'run'}"
    code, said = command("train", desk / "cells.zip", f"dataset_dir={desk / 'data'}", run, *words)
    assert code == 2
    assert "sets nothing; give KEY=VALUE" in said or "did you mean 'max_epochs'?" in said


# --- the folder for a hub


def test_the_hub_folder_holds_the_export_with_a_card_of_facts(desk, tmp_path):
    import yaml

    hub = tmp_path / "hub"
    code, said = command("export", MEMBRANE, "--run", desk / "run", "-o", tmp_path / "cells.zip", "--to-hub", hub)
    assert code == 0, said
    card = (hub / "README.md").read_text()
    _, facts, text = card.split("---\n", 2)
    told = yaml.safe_load(facts)
    assert (told["license"], told["library_name"], told["pipeline_tag"]) == (
        "apache-2.0",
        "monai",
        "image-segmentation",
    )
    (result,) = told["model-index"][0]["results"]
    summary = json.loads((desk / "run" / "metrics" / "summary.json").read_text())
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["dice"] == pytest.approx(summary["dice"]["mean"]["mean"], abs=1e-4)
    assert text.strip() == (hub / "docs" / "README.md").read_text().strip()
    assert "*.safetensors filter=lfs" in (hub / ".gitattributes").read_text()
    assert load_file(hub / "models" / "model.safetensors").keys()
    code, said = command("verify", hub)
    assert code == 0, said
