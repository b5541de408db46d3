"""``monai-seg check``: exit codes, the table, the JSON, and a start without heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_seg.cli import app


@pytest.fixture
def data(tmp_path):
    for number, case in enumerate("abcde"):
        for folder, values in (
            ("images", np.random.default_rng(number).integers(0, 255, (9, 7))),
            ("masks", np.eye(9, 7)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / folder / f"{case}.png")
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "80"})
    return result.exit_code, result.output


def test_sound_data(data):
    code, text = run(data)
    assert code == 0
    assert "5 cases, layout pairs (5 unsplit)" in text
    assert "7 x 9 px, 1 channel" in text
    assert "sound" in text


def test_warnings_only(data):
    Image.new("L", (7, 9), 3).save(data / "images" / "c.png")
    code, text = run(data)
    assert code == 1
    assert "images/c.png" in text


def test_faults_are_grouped_and_counted(data):
    code, text = run(data, "--labels", "0,255")
    assert code == 2
    assert "fault x 5" in text
    assert "and 2 more" in text
    assert "5 faults" in text
    assert max(map(len, text.splitlines())) <= 80


def test_json_holds_every_fault(data):
    code, text = run(data, "--labels", "0,255", "--json")
    report = json.loads(text)
    assert code == 2
    assert [fault["case"] for fault in report["faults"]] == list("abcde")
    assert report["counts"] == {"cases": 5, "unsplit": 5}


def test_missing_folder(tmp_path):
    code, text = run(tmp_path / "gone")
    assert code == 2
    assert "no such folder" in text


def test_labels_that_are_no_numbers(data):
    code, text = run(data, "--labels", "a,b")
    assert code == 2
    assert "no list of whole numbers" in text


def test_version_and_help_import_no_heavy_library():
    program = (
        "import sys, monai_seg.data\nfrom monai_seg.cli import app\n"
        "for words in (['--help'], ['--version'], ['check', '--help']):\n"
        "    try:\n        app(words)\n    except SystemExit as end:\n        assert not end.code\n"
        "sys.exit(bool({'torch', 'monai', 'numpy', 'nibabel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "monai-seg 0.1.0" in done.stdout
