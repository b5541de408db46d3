"""What the bundle tests share: a workflow in this process, its command line, and how to read what a run leaves."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_tasks import REPOSITORY, Task
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

SHARED = REPOSITORY.parent / "shared" / "data"


@dataclass(frozen=True)
class FinishedRun:
    """A bundle that was trained and evaluated."""

    task: Task
    path: Path


def workflow(task: Task, run_id: str, **overrides: Any) -> ConfigWorkflow:
    """The bundle in this process, ready to run, with a tiny network."""
    file = task.config("inference.yaml" if run_id == "inferring" else "train.yaml")
    known = ConfigParser.load_config_file(file)
    settings = {key: value for key, value in task.settings.items() if key.split("#")[0] in known}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="parsing config_file")  # MONAI: a configuration is code
        bundle = create_workflow(
            config_file=str(file),
            workflow_type="infer" if run_id == "inferring" else "train",
            run_id=run_id,
            logging_file=False,  # it would replace the handlers that pytest listens with
            **{**settings, **overrides},
        )
    bundle.bundle_root  # the property knows where the bundle lies; its parser, asked by itself, would not
    return bundle


def run(task: Task, run_id: str, **overrides: Any) -> None:
    workflow(task, run_id, **overrides).run()


def trained_and_evaluated(task: Task, path: Path, **overrides: Any) -> FinishedRun:
    run(task, "training", run_dir=str(path), **overrides)
    run(task, "evaluating", run_dir=str(path))
    return FinishedRun(task, path)


def pipeline(task: Task, name: str, **overrides: Any) -> Any:
    """The preprocessing of ``train``, ``validate`` or ``inference``."""
    run_id, key = ("inferring", "") if name == "inference" else ("training", f"{name}#")
    return workflow(task, run_id, **overrides).parser.get_parsed_content(f"{key}preprocessing")


def command(*arguments: str, processes: int = 0) -> list[str]:
    """``python -m monai.bundle run ...``, under ``torchrun`` where there are processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes else []
    module = ["-m", "monai.bundle", "run", *arguments]
    return [sys.executable, *launcher, *module]


def as_arguments(task: Task, **overrides: Any) -> list[str]:
    """Settings of a training as a command line."""
    settings = {**task.settings, **overrides}
    return [text for key, value in settings.items() for text in (f"--{key}", str(value))]


def quietly(arguments: list[str], cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command on one thread, without a GPU."""
    return subprocess.run(
        arguments, cwd=cwd, env=single_threaded(), capture_output=True, text=True, timeout=1500, check=False, **options
    )


def single_threaded() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def refused(kind: type[BaseException], *texts: str) -> Iterator[None]:
    """Expect an error of this kind, however deep MONAI wraps it, whose text holds all of these."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the kind is looked for along the causes
        yield
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    assert error is not None, f"no {kind.__name__} behind {caught.value!r}"
    for text in texts:
        assert text in str(error)


def stem(path: str) -> str:
    return Path(path).name.split(".")[0]


def sections(run_dir: Path) -> dict[str, list[dict]]:
    """Records of a run's sections, with paths relative to its data."""
    content = json.loads((run_dir / "datalist.json").read_text())
    return {name: content[name] for name in ("training", "validation", "test")}


def rows(folder: Path) -> list[dict[str, str]]:
    """The table in ``metrics`` or ``external/NAME``."""
    with (folder / "per_case.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def assert_same_tensors(one: Any, two: Any, where: str = "") -> None:
    """Bit-identical tensors and equal values, all the way down."""
    assert type(one) is type(two), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            assert_same_tensors(one[key], two[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for index, pair in enumerate(zip(one, two, strict=True)):
            assert_same_tensors(*pair, f"{where}/{index}")
    else:
        assert one == two, where
