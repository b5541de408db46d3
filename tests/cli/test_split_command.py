"""``monai-seg split``: the datalist it writes and what it refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from monai_seg.cli import app
from monai_seg.data import sections


@pytest.fixture
def data(tmp_path):
    for name in (f"p{patient}_{number}.png" for patient in range(10) for number in range(2)):
        for folder in ("images", "masks"):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / folder / name).write_text(name)
    return tmp_path / "data"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["split", *map(str, arguments)])
    return result.exit_code, result.output


def test_sections_by_group(data, tmp_path):
    code, text = run(data, "--group-by", r"p\d+", "-o", tmp_path / "list.json")
    assert code == 0
    content = json.loads((tmp_path / "list.json").read_text())
    assert {name: len(content[name]) for name in ("training", "validation", "test")} == {
        "training": 14,
        "validation": 2,
        "test": 4,
    }
    assert "14 cases       7 groups" in text


def test_folds(data, tmp_path):
    code, text = run(data, "--group-by", r"p\d+", "--folds", 4, "--seed", 3, "-o", tmp_path / "list.json")
    assert code == 0
    assert "folds of 4, 4, 4, 4" in text
    content = json.loads((tmp_path / "list.json").read_text())
    assert {record["fold"] for record in content["training"]} == {0, 1, 2, 3}
    assert (content["folds"], content["seed"], content["validation"]) == (4, 3, [])


def test_several_data_sets_of_other_layouts_become_one_list(data, tmp_path):
    files = ["faces/images/p3_9.jpg", "faces/images/p4_9.jpg", "faces/images/q_9.jpg"]
    files += [f"emotions/{kind}/p{person}_{kind}.jpg" for kind in ("joy", "fear") for person in (3, 4, *range(20, 30))]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for section, name in (("train", "q_9"), ("val", "p3_9"), ("test", "p4_9")):
        (tmp_path / "faces" / f"{section}.txt").write_text(f"{name}\n")
    sets = [tmp_path / "emotions", tmp_path / "faces", data]
    code, text = run(*sets, "--group-by", r"([pq]\d*)_", "-o", tmp_path / "list.json")
    assert code == 0
    content = json.loads((tmp_path / "list.json").read_text())
    where = {record["image"]: name for name in ("training", "validation", "test") for record in content[name]}
    assert content["dataset_dir"] == "."
    assert len(where) == 3 + 24 + 20  # bare images, classes and pairs: each data set gives what it has
    for person, section in (("p3", "validation"), ("p4", "test")):
        assert {where[image] for image in where if f"/{person}_" in image} == {section}
    assert {record["class"] for record in content["test"] if "emotions" in record["image"]} == {"joy", "fear"}
    assert f"test        {len(content['test']):>6} cases" in text
    listed = sections(tmp_path / "list.json", target_key=None)
    assert {name: len(part) for name, part in listed.items()} == {name: len(content[name]) for name in listed}


def test_unlabelled_test_images_are_left_out_of_a_list(data, tmp_path):
    (data / "test" / "images").mkdir(parents=True)
    (data / "test" / "images" / "p99_0.png").write_text("x")
    assert run(data, "-o", tmp_path / "list.json")[0] == 0
    assert "p99" not in (tmp_path / "list.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--group-by", "q"], "fits no part of 20 paths"), (["--folds", "30"], "at least 30 groups are needed")],
)
def test_refusals(data, tmp_path, arguments, text):
    code, output = run(data, *arguments, "-o", tmp_path / "list.json")
    assert code == 2
    assert text in output
    assert not (tmp_path / "list.json").exists()
