"""``monai-seg duplicates``: exit codes, the tables, the JSON, the files, and the figures of a run without copies."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from monai_seg.cli import app


def picture(seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    values = sum(gaussian_filter(generator.normal(size=(48, 40)), sigma) * sigma for sigma in (1.5, 3.0, 6.0))
    return Image.fromarray(np.clip(127 + 120 * values, 0, 255).astype(np.uint8))


@pytest.fixture
def data(tmp_path):
    for seed, case in enumerate("abcdefgh"):
        for folder, image in (("images", picture(seed)), ("masks", Image.new("L", (40, 48), 1))):
            place = tmp_path / "data" / ("train" if seed < 5 else "test") / folder
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{case}.png")
    return tmp_path / "data"


@pytest.fixture
def leaking(data):
    """The test cases g and h are copies of training cases."""
    for seed, case in ((0, "g"), (3, "h")):
        picture(seed).resize((20, 24)).save(data / "test" / "images" / f"{case}.png")
    return data


@pytest.fixture
def run_folder(leaking, tmp_path):
    """A run that was evaluated: Dice 0.5 where it has not trained, 0.9 where it has."""
    from monai_seg.data import write_datalist
    from monai_seg.data.layouts import read_listing

    folder = tmp_path / "runs" / "mine"
    write_datalist(folder / "datalist.json", read_listing(leaking).sections, leaking)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "per_case.csv").write_text("case,class,dice\nf,cell,0.5\ng,cell,0.9\nh,cell,0.9\n")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["duplicates", *map(str, arguments)], env={"COLUMNS": "120"})
    return result.exit_code, result.output


def test_clean_data(data):
    code, text = run(data)
    assert code == 0
    assert "8 images (5 training, 3 test): clean" in text


def test_leaks_are_shown_and_written(leaking, tmp_path):
    code, text = run(leaking, "-o", tmp_path / "out")
    assert code == 1
    assert "2 pairs" in text
    assert "2 of 3 images of test have a copy in training" in text
    with open(tmp_path / "out" / "duplicates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["first_image"], row["second_image"]) for row in rows] == [
        ("train/images/a.png", "test/images/g.png"),
        ("train/images/d.png", "test/images/h.png"),
    ]
    assert {row["kind"] for row in rows} == {"near copy"}
    with Image.open(tmp_path / "out" / "duplicates.png") as sheet:
        assert np.asarray(sheet).std() > 10


def test_few_rows_and_all_of_them_counted(leaking):
    assert "the first 1 of 2 pairs" in run(leaking, "--rows", 1)[1]


def test_json(leaking):
    code, text = run(leaking, "--json")
    report = json.loads(text)
    assert code == 1
    assert (report["is_clean"], len(report["copies"]), report["metrics"]) == (False, 2, [])
    assert report["findings"][0]["kind"] == "copies across"


def test_figures_of_a_run_without_copies(run_folder):
    code, text = run("--run", run_folder)
    assert code == 1
    assert "0.7667 (0.5000 to 0.9000), n=3" in text
    assert "-0.2667" in text
    change = json.loads(run("--run", run_folder, "--json")[1])["metrics"][0]
    assert change["unseen"] == {"mean": 0.5, "ci_low": None, "ci_high": None, "n": 1}


def test_the_data_of_a_run_may_be_named_too(run_folder, leaking):
    assert "8 images (5 training, 3 test)" in run(leaking, "--run", run_folder)[1]


def test_an_external_test_set_of_a_run(run_folder, tmp_path):
    other = tmp_path / "elsewhere" / "images"
    other.mkdir(parents=True)
    picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other / "x.png")
    picture(50).save(other / "y.png")
    (run_folder / "external" / "elsewhere").mkdir(parents=True)
    table = (
        "case,class,file,person,reference,prediction,probability_cat\nx,cat,x,1,cat,cat,0.9\ny,dog,y,2,dog,cat,0.6\n"
    )
    (run_folder / "external" / "elsewhere" / "per_case.csv").write_text(table)
    metrics = json.loads(run(other.parent, "--run", run_folder, "--json")[1])["metrics"]
    found = {(each["metric"], each["class_name"]): each for each in metrics if each["table"] == "elsewhere"}
    assert found["accuracy", "mean"]["every"]["mean"] == 0.5
    assert found["accuracy", "mean"]["unseen"]["mean"] == 0.0
    assert found["recall", "cat"]["unseen"]["n"] == 0


def test_refusals(tmp_path, run_folder):
    assert run()[0] == 2
    assert "no such folder" in run(tmp_path / "gone")[1]
    code, text = run("--run", tmp_path)
    assert (code, "holds no datalist.json" in text) == (2, True)
    table = run_folder / "metrics" / "per_case.csv"
    table.write_text("case,class,dice\nstranger,cell,0.5\n")
    assert "names 1 cases that are not in the audit, such as stranger" in run("--run", run_folder)[1]
    table.unlink()
    assert "evaluate the run first" in run("--run", run_folder)[1]


def test_an_unreadable_image_is_told(data):
    (data / "train" / "images" / "a.png").write_bytes(b"no picture")
    code, text = run(data)
    assert code == 1
    assert "not compared: case a" in text


def test_volumes_are_drawn_too(tmp_path):
    import nibabel as nib

    values = np.random.default_rng(0).random((6, 5, 4))
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name in "ab":
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "data" / "images" / f"{name}.nii.gz")
    assert run(tmp_path / "data", "-o", tmp_path / "out")[0] == 1
    assert (tmp_path / "out" / "duplicates.png").is_file()
