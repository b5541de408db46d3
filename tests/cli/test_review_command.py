"""``monai-seg review``: what it prints, its exit codes, what it refuses, and the commands of its page."""

from __future__ import annotations

import logging
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from monai_seg.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "review.md"
FILES = ["blocks.csv", "blocks.png", "error_map.png", "error_map.tif", "review.json"]


@pytest.fixture(autouse=True)
def _log_as_it_was():
    logger = logging.getLogger("monai_seg")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers = handlers
    logger.setLevel(level)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A scene, its reference with 0 and 255, and a prediction that lies 5 px lower."""
    reference = np.zeros((300, 400), np.uint8)
    reference[50:150, 50:150] = reference[200:260, 300:400] = 255
    tifffile.imwrite(tmp_path / "reference.tif", reference)
    tifffile.imwrite(tmp_path / "prediction.tif", np.roll(reference, 5, axis=0) // 255)
    scene = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "scene.tif", scene, photometric="rgb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(re.sub(r"[│┃┡━╇┩┏┳┓└┘┴─├┤┼]", " ", result.output).split())


def test_the_figures_are_printed(desk):
    code, text = run("review", "reference.tif", "prediction.tif", "-o", "out", "--block", 50)
    assert code == 0
    # 16,000 px, of which the lowest 5 rows of each object, 1,000 px, lie in the other map only.
    assert "every label but 0, 400 x 300 px: TN 103,000 (85.83%), TP 15,000 (12.50%), FP 1,000 (0.83%)" in text
    assert "recall 0.9375 0." in text
    assert "48 blocks of 50 px, 8 differ" in text
    assert "mean share, prediction - reference +0.0000" in text
    assert "(Wilcoxon)" in text
    assert "(KS)" in text
    assert text.endswith("written to out")
    assert sorted(path.name for path in (desk / "out").iterdir()) == FILES


def test_undefined_figures_are_called_so(desk):
    Image.new("L", (400, 300)).save("empty.png")
    code, text = run("review", "empty.png", "empty.png", "-o", "out")
    assert code == 0
    assert "dice undefined undefined to undefined" in text
    assert "Cramer's V of histograms undefined undefined (chi-square, 1 bin)" in text


def test_notes_give_exit_code_1(desk):
    code, text = run("review", "reference.tif", "prediction.tif", "-o", "out", "--class", 1)
    assert code == 1
    assert "note: the reference holds labels from 255 to 255, but no 1;" in text


def test_what_is_refused_gives_exit_code_2(desk):
    code, text = run("review", "reference.tif", "nowhere.tif", "-o", "out")
    assert (code, "the prediction cannot be opened prediction nowhere.tif" in text) == (2, True)
    (desk / "file").write_text("")
    assert run("review", "reference.tif", "prediction.tif", "-o", "file/out")[0] == 2
    code, text = run("review", "reference.tif", "prediction.tif", "-o", "out", "--reference-values", "red")
    assert (code, "'red' is no list of whole numbers; write for instance 255 or 3,4" in text) == (2, True)


def test_commands_of_the_page_run(desk):
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        name, *words = shlex.split(line)
        assert (name, run(*words)[0]) == ("monai-seg", 0)
        assert sorted(path.name for path in (desk / "review").iterdir()) == FILES
