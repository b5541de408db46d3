"""``monai-seg split``: the datalist it writes and what it refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from monai_seg.cli import app


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


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--group-by", "q"], "fits no part of 20 paths"), (["--folds", "30"], "at least 30 groups are needed")],
)
def test_refusals(data, tmp_path, arguments, text):
    code, output = run(data, *arguments, "-o", tmp_path / "list.json")
    assert code == 2
    assert text in output
    assert not (tmp_path / "list.json").exists()
