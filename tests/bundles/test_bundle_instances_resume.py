"""A run of the bundle of instances that is stopped, or done by two processes: the same result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_helpers import load, run
from ignite.engine import Events
from test_bundle_distributed import launched, needs_gloo
from test_bundle_resume import assert_same_end, in_validation, interrupted, terminate


def test_a_run_stopped_in_mid_epoch_goes_on_bit_identically(instances, trained_instances, tmp_path):
    length = load(trained_instances.path / "checkpoints" / "last.pt")["facts"]["epoch_length"]

    def in_second_epoch(trainer: Any, evaluator: Any) -> None:
        trainer.add_event_handler(Events.ITERATION_STARTED(once=length + 2), terminate)

    assert interrupted(instances, tmp_path, in_second_epoch) == 143
    run(instances, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, trained_instances.path)


def test_a_run_stopped_in_validation_goes_on_bit_identically(instances, trained_instances, tmp_path):
    assert interrupted(instances, tmp_path, in_validation) == 143
    run(instances, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, trained_instances.path)


@pytest.mark.slow
def test_workers_do_not_matter(instances, trained_instances, tmp_path):
    run(instances, "training", run_dir=str(tmp_path), num_workers=2)
    assert_same_end(tmp_path, trained_instances.path)


@needs_gloo
@pytest.mark.slow
def test_two_processes_train_one_network_and_evaluate_to_the_same_bytes(instances, tmp_path):
    launched(instances, "training", run_dir=tmp_path / "run")
    last = load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert last["facts"]["epoch"] == 2
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())
    assert not [name for name in last["model"] if name.startswith("module.")]
    folders = [Path(shutil.copytree(tmp_path / "run", tmp_path / name)) for name in ("one", "two")]
    run(instances, "evaluating", run_dir=str(folders[0]))
    launched(instances, "evaluating", run_dir=folders[1])
    one, two = ({path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
                for folder in folders)  # fmt: skip
    assert {"per_case.csv", "objects.csv", "summary.json", "objects.json"} <= {path.name for path in one}
    # Those that are hardly objects have scores whose last digits depend on the other images of a batch.
    unsure = [json.loads(each.pop(Path("predictions", "results.json"))) for each in (one, two)]
    assert unsure[0]["annotations"] == unsure[1]["annotations"]
    assert len(unsure[0]["results"]) == len(unsure[1]["results"])
    assert one == two
