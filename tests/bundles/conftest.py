"""Fixtures of the bundle tests: tiny data, and one finished run of each bundle that many tests look at."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from bundle_helpers import HIPPOCAMPUS, MEMBRANE, Task, run, write_pictures, write_volumes

BUNDLES = (HIPPOCAMPUS, MEMBRANE)
CASES = 8


@dataclass(frozen=True)
class FinishedRun:
    """A bundle that was trained for two epochs and evaluated."""

    task: Task
    path: Path


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
def hippocampus(tmp_path_factory) -> Task:
    data = write_volumes(tmp_path_factory.mktemp("volumes"), CASES)
    return Task(HIPPOCAMPUS, data, {"crop_size": [16, 32, 16], "roi_size": [16, 32, 16]})


@pytest.fixture(scope="session")
def membrane(tmp_path_factory) -> Task:
    data = write_pictures(tmp_path_factory.mktemp("pictures"), CASES)
    return Task(MEMBRANE, data, {"crop_size": [32, 32], "roi_size": [32, 32]})


@pytest.fixture(scope="session")
def tasks(hippocampus, membrane) -> dict[str, Task]:
    return {HIPPOCAMPUS: hippocampus, MEMBRANE: membrane}


@pytest.fixture(scope="session", params=BUNDLES, ids=["hippocampus", "membrane"])
def task(request, tasks) -> Task:
    """Each bundle in turn."""
    return tasks[request.param]


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """Makes the finished run of a task, once."""
    made: dict[str, FinishedRun] = {}

    def finished(task: Task) -> FinishedRun:
        if task.name not in made:
            path = tmp_path_factory.mktemp("runs") / task.name
            run(task, "training", run_dir=str(path))
            run(task, "evaluating", run_dir=str(path))
            made[task.name] = FinishedRun(task, path)
        return made[task.name]

    return finished


@pytest.fixture
def finished(task, finished_runs) -> FinishedRun:
    """The finished run of each bundle in turn; leave it as it is."""
    return finished_runs(task)
