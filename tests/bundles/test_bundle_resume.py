"""Resume: whatever ends a run, going on gives the bits of a run that was never ended, and never a worse best model."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_helpers import (
    as_arguments,
    assert_same_tensors,
    command,
    load,
    refused,
    run,
    single_threaded,
    workflow,
)
from bundle_tasks import BUILDING, FACE, HIPPOCAMPUS, REPOSITORY, Task, short_name
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_seg.engines import CheckpointError, NonFiniteLossError, RunFolderError

LENGTH = 3  # iterations of an epoch of membranes: 5 or 6 training cases in batches of 2


def interrupted(task: Task, folder: Path, when: Callable[[Any, Any], None], **overrides: Any) -> int:
    """Train until the handler that ``when`` attaches to trainer and evaluator ends the run; gives the exit code."""
    bundle = workflow(task, "training", run_dir=str(folder), **overrides)
    content = bundle.parser.get_parsed_content
    when(content("train#trainer"), content("validate#evaluator"))
    with pytest.raises(SystemExit) as ended:
        bundle.run()
    return int(ended.value.code)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def assert_same_end(one: Path, two: Path) -> None:
    """Network, optimiser, selection and best model are bit-identical."""
    ends = [load(folder / "checkpoints" / "last.pt") for folder in (one, two)]
    for name in ("model", "optimizer", "selection", "loss_scaler"):
        assert_same_tensors(ends[0][name], ends[1][name], name)
    assert ends[0]["facts"] == ends[1]["facts"]
    best = [load(folder / "checkpoints" / "best.pt") for folder in (one, two)]
    assert_same_tensors(best[0], best[1], "best")


def in_mid_epoch(trainer: Any, evaluator: Any) -> None:
    trainer.add_event_handler(Events.ITERATION_STARTED(once=LENGTH + 2), terminate)


def before_validation(trainer: Any, evaluator: Any) -> None:
    trainer.add_event_handler(Events.ITERATION_STARTED(once=LENGTH), terminate)


def in_validation(trainer: Any, evaluator: Any) -> None:
    evaluator.add_event_handler(Events.ITERATION_STARTED(once=1), terminate)


def after_validation(trainer: Any, evaluator: Any) -> None:
    evaluator.add_event_handler(Events.COMPLETED(once=1), terminate)


def in_first_iteration(trainer: Any, evaluator: Any) -> None:
    trainer.add_event_handler(Events.ITERATION_STARTED(once=1), terminate)


STOPS = {
    in_mid_epoch: (2, LENGTH + 2, False),
    before_validation: (1, LENGTH, False),
    in_validation: (1, LENGTH, False),
    after_validation: (1, LENGTH, True),
    in_first_iteration: (1, 1, False),
}


@pytest.mark.parametrize("when", STOPS, ids=lambda when: when.__name__)
def test_a_stopped_run_goes_on_bit_identically(membrane, finished_runs, tmp_path, when):
    assert interrupted(membrane, tmp_path, when) == 143
    facts = load(tmp_path / "checkpoints" / "last.pt")["facts"]
    assert (facts["epoch"], facts["iteration"], facts["epoch_is_closed"]) == STOPS[when]
    assert facts["epoch_length"] == LENGTH
    run(membrane, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished_runs(membrane).path)


def test_another_number_of_workers_does_not_matter(membrane, finished_runs, tmp_path):
    assert interrupted(membrane, tmp_path, in_mid_epoch, num_workers=1) == 143
    run(membrane, "training", run_dir=str(tmp_path), resume=True, num_workers=0)
    assert_same_end(tmp_path, finished_runs(membrane).path)


@pytest.mark.slow
def test_more_workers_after_the_stop_do_not_matter(membrane, finished_runs, tmp_path):
    assert interrupted(membrane, tmp_path, in_first_iteration) == 143
    run(membrane, "training", run_dir=str(tmp_path), resume=True, num_workers=2)
    assert_same_end(tmp_path, finished_runs(membrane).path)


@pytest.mark.parametrize("task", [HIPPOCAMPUS, FACE, BUILDING], ids=short_name, indirect=True)
def test_the_other_bundles_go_on_bit_identically(task, finished, tmp_path):
    length = load(finished.path / "checkpoints" / "last.pt")["facts"]["epoch_length"]

    def in_second_epoch(trainer: Any, evaluator: Any) -> None:
        trainer.add_event_handler(Events.ITERATION_STARTED(once=length + 2), terminate)

    assert interrupted(task, tmp_path, in_second_epoch) == 143
    run(task, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished.path)


def test_stopped_twice(membrane, finished_runs, tmp_path):
    assert interrupted(membrane, tmp_path, in_validation) == 143
    assert interrupted(membrane, tmp_path, in_mid_epoch, resume=True) == 143
    run(membrane, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished_runs(membrane).path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)], ids=["SIGINT", "SIGHUP"])
def test_each_signal_has_its_code_and_is_given_back(membrane, tmp_path, number, code):
    before = signal.getsignal(number)

    def when(trainer: Any, evaluator: Any) -> None:
        trainer.add_event_handler(Events.ITERATION_STARTED(once=1), lambda: os.kill(os.getpid(), number))

    assert interrupted(membrane, tmp_path, when) == code
    assert signal.getsignal(number) is before
    assert (tmp_path / "checkpoints" / "last.pt").is_file()


def test_a_crash_goes_on_from_the_last_epoch(membrane, finished_runs, tmp_path):
    bundle = workflow(membrane, "training", run_dir=str(tmp_path))

    def crash() -> None:
        raise OSError("the disk fell out")

    trainer = bundle.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=LENGTH + 1), crash)
    before = signal.getsignal(signal.SIGTERM)
    with refused(OSError, "the disk fell out"):
        bundle.run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert load(tmp_path / "checkpoints" / "last.pt")["facts"]["iteration"] == LENGTH
    run(membrane, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished_runs(membrane).path)


def test_killed_before_the_first_save_begins_anew(membrane, finished_runs, tmp_path):
    assert interrupted(membrane, tmp_path, in_first_iteration) == 143
    (tmp_path / "checkpoints" / "last.pt").unlink()
    run(membrane, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished_runs(membrane).path)


@pytest.fixture
def copy_of_finished(membrane, finished_runs, tmp_path) -> Path:
    return Path(shutil.copytree(finished_runs(membrane).path, tmp_path / "copy"))


def test_resuming_a_finished_run_trains_nothing(membrane, copy_of_finished):
    files = [copy_of_finished / "checkpoints" / f"{name}.pt" for name in ("best", "last")]
    before = [file.read_bytes() for file in files]
    run(membrane, "training", run_dir=str(copy_of_finished), resume=True)
    assert [file.read_bytes() for file in files] == before


def test_a_finished_run_can_be_made_longer(membrane, copy_of_finished):
    run(membrane, "training", run_dir=str(copy_of_finished), resume=True, max_epochs=3)
    last = load(copy_of_finished / "checkpoints" / "last.pt")
    assert (last["facts"]["epoch"], last["facts"]["iteration"]) == (3, 3 * LENGTH)


def test_resume_never_replaces_a_better_model(membrane, copy_of_finished):
    last, best = (copy_of_finished / "checkpoints" / f"{name}.pt" for name in ("last", "best"))
    content = load(last)
    content["selection"]["best_metric"] = 0.9999
    torch.save(content, last)
    before = best.read_bytes()
    run(membrane, "training", run_dir=str(copy_of_finished), resume=True, max_epochs=3)
    assert best.read_bytes() == before
    assert load(last)["selection"]["best_metric"] == 0.9999


def test_a_resumed_run_keeps_its_sections_and_notes_the_session(membrane, tmp_path):
    assert interrupted(membrane, tmp_path, after_validation) == 143
    before = (tmp_path / "datalist.json").read_bytes()
    run(membrane, "training", run_dir=str(tmp_path), resume=True, fold=1)
    assert (tmp_path / "datalist.json").read_bytes() == before
    assert len(json.loads((tmp_path / "environment.json").read_text())["sessions"]) == 2


def test_steps_in_tensorboard_follow_each_other(membrane, tmp_path):
    assert interrupted(membrane, tmp_path, before_validation) == 143
    run(membrane, "training", run_dir=str(tmp_path), resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("dice/mean")] == [LENGTH, 2 * LENGTH]


def test_resume_without_a_run_says_so(membrane, tmp_path):
    with refused(RunFolderError, "no run", "last.pt"):
        run(membrane, "training", resume=True, bundle_root=str(tmp_path / "bundles" / "nothing"))


def test_non_finite_loss_names_the_cases_and_keeps_the_last_state(membrane, tmp_path):
    bundle = workflow(membrane, "training", run_dir=str(tmp_path))
    trainer = bundle.parser.get_parsed_content("train#trainer")
    loss, calls = trainer.loss_function, []

    def broken(prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return loss(prediction, label) * (float("nan") if len(calls) == LENGTH + 2 else 1)

    trainer.loss_function = broken
    before = signal.getsignal(signal.SIGTERM)
    with refused(NonFiniteLossError, f"the loss is nan in epoch 2, iteration {LENGTH + 2}", "section_0", "mend"):
        bundle.run()
    assert signal.getsignal(signal.SIGTERM) is before
    last = load(tmp_path / "checkpoints" / "last.pt")
    assert last["facts"]["iteration"] == LENGTH
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:2000])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def foreign(file: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, file)


def hostile(file: Path) -> None:
    torch.save({"format": 1, "facts": {}, "model": Path("code")}, file)


def newer(file: Path) -> None:
    torch.save({**load(file), "format": 99}, file)


def only_the_best(file: Path) -> None:
    shutil.copy(file.with_name("best.pt"), file)


DAMAGES = {
    truncated: "cannot be read",
    emptied: "cannot be read",
    foreign: "is no checkpoint of monai-seg",
    hostile: "holds code, which is never run",
    newer: "has checkpoint format 99",
    only_the_best: "holds no optimizer",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_bad_checkpoint_is_named(membrane, copy_of_finished, damage):
    file = copy_of_finished / "checkpoints" / "last.pt"
    damage(file)
    before = file.read_bytes()
    with refused(CheckpointError, str(file), DAMAGES[damage]):
        run(membrane, "training", run_dir=str(copy_of_finished), resume=True, max_epochs=3)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"batch_size": 1}, f"belongs to a run of {LENGTH} iterations per epoch"),
        ({"network_def#features": [8] * 6}, "does not fit this bundle's model"),
    ],
    ids=["batch size", "network"],
)
def test_a_checkpoint_of_another_configuration_is_refused(membrane, copy_of_finished, overrides, text):
    with refused(CheckpointError, "last.pt", text, "mend"):
        run(membrane, "training", run_dir=str(copy_of_finished), resume=True, max_epochs=3, **overrides)


def test_changed_data_are_refused(membrane, finished_runs, tmp_path):
    data = Path(shutil.copytree(membrane.data, tmp_path / "data"))
    moved = membrane.on(data)
    assert interrupted(moved, tmp_path / "run", in_first_iteration) == 143
    masks = sorted((data / "masks").iterdir())
    shutil.copy(masks[0], masks[1])
    with refused(RunFolderError, "changed since the run"):
        run(moved, "training", run_dir=str(tmp_path / "run"), resume=True)


@pytest.mark.slow
def test_sigkill_at_any_moment(membrane, tmp_path):
    """Kills at random moments, workers changing in between, until the run ends: bits as if nothing had happened."""
    file = str(membrane.config("train.yaml"))
    settings = {"max_epochs": 12}
    run(membrane, "training", run_dir=str(tmp_path / "whole"), **settings)
    draw, kills = random.Random(0), 0
    for attempt in range(20):
        arguments = as_arguments(
            membrane, **settings, run_dir=tmp_path / "killed", resume=attempt > 0, num_workers=attempt % 2
        )
        process = subprocess.Popen(
            command("training", "--config_file", file, *arguments),
            cwd=REPOSITORY, env=single_threaded(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        kills += killed_while_training(process, tmp_path / "killed", draw.uniform(0, 1.5) if kills < 3 else None)
        if process.returncode == 0:
            break
    assert kills >= 2
    assert_same_end(tmp_path / "killed", tmp_path / "whole")


def killed_while_training(process: subprocess.Popen[str], folder: Path, after_s: float | None) -> bool:
    """Wait for a session of the run to begin, then kill it; None lets it end."""
    record = folder / "environment.json"
    before = record.stat().st_mtime_ns if record.exists() else 0
    while after_s is not None and process.poll() is None:
        if record.exists() and record.stat().st_mtime_ns != before:
            time.sleep(after_s)
            process.kill()
            break
        time.sleep(0.05)
    _, errors = process.communicate(timeout=1500)
    assert process.returncode in (0, -signal.SIGKILL), errors[-2000:]
    return process.returncode != 0
