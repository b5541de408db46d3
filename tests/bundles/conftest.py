"""Fixtures of the bundle tests: tiny data, and one finished run of each bundle that many tests look at."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from bundle_helpers import FinishedRun, load, run, trained_and_evaluated
from bundle_tasks import BUILDING, FACE, HIPPOCAMPUS, MEMBRANE, TASKS, Task, short_name
from emotion_task import EMOTIONS
from instance_task import INSTANCES

CASES = 8


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch):
    """A bundle run adds its folder to the search path, sets an exception hook and seeds: undo it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags


@pytest.fixture(scope="session", autouse=True)
def _on_one_thread():
    """These tests compare bits, and one thread is enough for tiny networks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def with_data(tmp_path_factory):
    """Gives a task its tiny data, made once."""
    made: dict[str, Task] = {}

    def task_with_data(task: Task) -> Task:
        if task.name not in made:
            made[task.name] = task.on(task.write(tmp_path_factory.mktemp(short_name(task)), CASES))
        return made[task.name]

    return task_with_data


@pytest.fixture(scope="session")
def hippocampus(with_data) -> Task:
    return with_data(HIPPOCAMPUS)


@pytest.fixture(scope="session")
def membrane(with_data) -> Task:
    return with_data(MEMBRANE)


@pytest.fixture(scope="session")
def face(with_data) -> Task:
    return with_data(FACE)


@pytest.fixture(scope="session")
def building(with_data) -> Task:
    return with_data(BUILDING)


@pytest.fixture(scope="session", params=TASKS, ids=short_name)
def task(request, with_data) -> Task:
    """Each bundle in turn."""
    return with_data(request.param)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """Makes the finished run of a task, once: two epochs and an evaluation."""
    made: dict[str, FinishedRun] = {}

    def finished(task: Task) -> FinishedRun:
        if task.name not in made:
            made[task.name] = trained_and_evaluated(task, tmp_path_factory.mktemp("runs") / task.name)
        return made[task.name]

    return finished


@pytest.fixture
def finished(task, finished_runs) -> FinishedRun:
    """The finished run of each bundle in turn; leave it as it is."""
    return finished_runs(task)


@pytest.fixture(scope="session")
def instances(tmp_path_factory) -> Task:
    """The bundle of instances, whose cases are not pairs of files as those of `task` are."""
    return INSTANCES.on(INSTANCES.write(tmp_path_factory.mktemp("instances"), 12))


@pytest.fixture(scope="session")
def trained_instances(instances, tmp_path_factory) -> FinishedRun:
    """Two epochs; leave it as it is."""
    path = tmp_path_factory.mktemp("runs") / instances.name
    run(instances, "training", run_dir=str(path))
    return FinishedRun(instances, path)


@pytest.fixture(scope="session")
def found_instances(trained_instances, tmp_path_factory) -> FinishedRun:
    """The same run evaluated. Such a network is sure of nothing, so all that it finds is taken."""
    path = Path(shutil.copytree(trained_instances.path, tmp_path_factory.mktemp("evaluated") / "run"))
    best = load(path / "checkpoints" / "best.pt")
    best["model"]["score_threshold"].fill_(0.0)
    torch.save(best, path / "checkpoints" / "best.pt")
    run(trained_instances.task, "evaluating", run_dir=str(path))
    return FinishedRun(trained_instances.task, path)


@pytest.fixture(scope="session")
def emotions(tmp_path_factory) -> Task:
    """The bundle of emotions, whose cases are whole images with a class."""
    return EMOTIONS.on(EMOTIONS.write(tmp_path_factory.mktemp("emotions"), 10))


@pytest.fixture(scope="session")
def judged_emotions(emotions, tmp_path_factory) -> FinishedRun:
    """Two epochs and an evaluation; leave it as it is."""
    return trained_and_evaluated(emotions, tmp_path_factory.mktemp("runs") / emotions.name)
