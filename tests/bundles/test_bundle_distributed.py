"""Two processes under ``torchrun`` on CPUs: uneven shares train, and an evaluation gives the bytes of one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from bundle_helpers import as_arguments, command, load, quietly, refused, run
from bundle_tasks import BUILDING, FACE, MEMBRANE, REPOSITORY, Task, short_name

from monai_seg.engines import CheckpointError, evaluation_sampler
from monai_seg.engines.sampling import TooFewCasesError

# The last batch of an uneven share is one image, and at half of 64 pixels batch norm would get a single value of it.
ONLY_WHOLE = {FACE.name: {"low_resolution_share": 0.0}}

needs_gloo = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")


def launched(task: Task, run_id: str, **overrides: object) -> None:
    arguments = as_arguments(task, **overrides)
    file = str(task.config("train.yaml"))
    ended = quietly(command(run_id, "--config_file", file, *arguments, processes=2), cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr[-3000:]


# A process may be left with a batch of one; batch norm needs it to be larger than 32 pixels.
FACE_AT_FULL_SIZE = FACE.on(FACE.data, low_resolution_share=0.0)


@pytest.fixture(scope="module", params=[MEMBRANE, FACE_AT_FULL_SIZE, BUILDING], ids=short_name)
def trained_by_two(request, tmp_path_factory) -> tuple[Task, Path]:
    folder = tmp_path_factory.mktemp("distributed")
    task = request.param.on(request.param.write(folder / "data", 24, seed=3), **ONLY_WHOLE.get(request.param.name, {}))
    launched(task, "training", run_dir=folder / "run")
    return task, folder / "run"


@needs_gloo
@pytest.mark.slow
def test_two_processes_train_one_network(trained_by_two):
    _, folder = trained_by_two
    last = load(folder / "checkpoints" / "last.pt")
    assert last["facts"]["epoch"] == 2
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())
    assert not [name for name in last["model"] if name.startswith("module.")]
    assert len(list((folder / "tensorboard").iterdir())) == 1


@needs_gloo
@pytest.mark.slow
def test_two_processes_evaluate_to_the_same_bytes(trained_by_two, tmp_path):
    task, folder = trained_by_two
    for name in ("one", "two"):
        shutil.copytree(folder, tmp_path / name)
    run(task, "evaluating", run_dir=str(tmp_path / "one"))
    launched(task, "evaluating", run_dir=tmp_path / "two")
    one, two = ({path.relative_to(tmp_path / name): path.read_bytes() for path in sorted((tmp_path / name).rglob("*"))
                 if path.is_file()} for name in ("one", "two"))  # fmt: skip
    assert {"per_case.csv", "summary.json"} <= {path.name for path in one}
    assert one == two


@needs_gloo
@pytest.mark.slow
def test_what_two_processes_began_one_process_cannot_resume(trained_by_two):
    task, folder = trained_by_two
    with refused(CheckpointError, "iterations per epoch", "number of processes"):
        run(task, "training", run_dir=str(folder), resume=True, max_epochs=3)


def test_more_processes_than_cases_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TooFewCasesError, match="2 cases to evaluate on 3 processes"):
        evaluation_sampler(["a", "b"])
    assert list(evaluation_sampler(["a", "b", "c", "d"])) == [0, 3]


def test_a_section_without_cases_is_not_a_matter_of_processes():
    with pytest.raises(TooFewCasesError, match="holds no case\n  mend   give it a share of the data"):
        evaluation_sampler([])
