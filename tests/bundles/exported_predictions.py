"""Predictions of a bundle and of its exports, as the tests of exports compare them: with equality, not closeness."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_helpers import FinishedRun
from bundle_tasks import REPOSITORY, array
from emotion_task import EMOTIONS
from instance_task import INSTANCES

from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions


def predictions(
    bundle: Path, output: Path, images: Sequence[str | Path], run: Path | None = None, is_data: bool = False
) -> Path:
    """What monai-seg predicts with a bundle, without reduced precision."""
    options = PredictionOptions((run,) if run else (), amp=False)
    batch = BatchPrediction(bundle, output, options, is_data=is_data)
    batch.run(images)
    assert [outcome.state for outcome in batch.outcomes] == ["done"] * len(images), batch.outcomes
    return output


def assert_same_predictions(own: Path, other: Path, images: Sequence[str | Path], tolerance: float = 0) -> None:
    """The same label maps to the voxel, the same classes, the same objects.

    Args:
        own, other: folders of predictions.
        images: that were predicted, each of which must be told of.
        tolerance: of probabilities, scores and edges of boxes in pixels.
    """
    names = relative_files(own)
    assert names == relative_files(other)
    maps = [name for name in names if name.endswith((".png", ".nii.gz", ".tif"))]
    for name in maps:
        one, two = array(own / name), array(other / name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two), name
        if name.endswith(".nii.gz"):
            assert np.array_equal(nib.load(own / name).affine, nib.load(other / name).affine), name
    if "classes.csv" in names:
        one, two = (rows(folder / "classes.csv") for folder in (own, other))
        assert len(one) == len(two) == len(images)
        for a, b in zip(one, two, strict=True):
            assert Path(a["file"]).name == Path(b["file"]).name
            assert a["class"] == b["class"]
            shares = [name for name in a if name.startswith("probability_")]
            assert len(shares) > 1
            assert all(abs(float(a[name]) - float(b[name])) <= tolerance for name in shares)
    else:
        assert len(maps) >= len(images)
    if "objects.json" in names:
        assert_same_objects(*(json.loads((folder / "objects.json").read_text()) for folder in (own, other)), tolerance)


def assert_same_objects(one: dict[str, Any], two: dict[str, Any], tolerance: float) -> None:
    assert len(one["annotations"]) > 0
    assert one["categories"] == two["categories"]
    files = [{each["id"]: Path(each["file_name"]).name for each in content["images"]} for content in (one, two)]
    assert files[0] == files[1]
    for a, b in zip(one["annotations"], two["annotations"], strict=True):
        assert (a["image_id"], a["category_id"]) == (b["image_id"], b["category_id"])
        assert a["segmentation"] == b["segmentation"]
        assert a["area"] == b["area"]
        np.testing.assert_allclose([*a["bbox"], a["score"]], [*b["bbox"], b["score"]], rtol=0, atol=tolerance)


def finished_run(request: pytest.FixtureRequest, task: Any) -> FinishedRun:
    if task is INSTANCES:
        return request.getfixturevalue("found_instances")
    if task is EMOTIONS:
        return request.getfixturevalue("judged_emotions")
    return request.getfixturevalue("finished_runs")(request.getfixturevalue("with_data")(task))


def images_of_test(run: FinishedRun) -> list[str]:
    """Images of the run's test section."""
    section = json.loads((run.path / "datalist.json").read_text())["test"]
    return [str(run.task.data / record["image"]) for record in section]


def places_of_the_machine(content: bytes, run: FinishedRun) -> list[bytes]:
    """Folders of this machine that are named: of data, run, packages, user, and whatever is temporary."""
    folders = [run.task.data, run.path, REPOSITORY, Path(torch.__file__).parents[1], Path.home(), tempfile.gettempdir()]
    return [f"{folder}/".encode() for folder in folders if f"{folder}/".encode() in content]


def relative_files(folder: Path) -> list[str]:
    """Names of all files but the pictures that monai-seg draws beside its predictions."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith("figures/"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
