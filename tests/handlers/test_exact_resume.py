"""Stop a run anywhere and go on: it ends bit for bit as one that was never stopped; and what cannot go on says why."""

from __future__ import annotations

import logging
import os
import signal

import pytest
import torch
from ignite.engine import Events
from toy_run import ToyRun

from monai_seg.engines import CheckpointError, NonFiniteLossError, read_checkpoint

EPOCHS, BATCHES = 3, 3


class Killed(BaseException):
    """Stands for a kill: nothing is tidied up after it."""


class At:
    """Act at an event of the trainer, the n-th time it happens."""

    def __init__(self, event, count: int, action) -> None:
        self.event, self.count, self.action, self.seen = event, count, action, 0

    def attach(self, engine) -> None:
        engine.add_event_handler(self.event, self)

    def __call__(self, engine) -> None:
        self.seen += 1
        if self.seen == self.count:
            self.action()


def kill() -> None:
    raise Killed


def outcome(run) -> dict:
    """All that a run leaves: its last state and its best model."""
    last, best = read_checkpoint(run.run_folder.last_state), read_checkpoint(run.run_folder.best_model)
    del last["schedule"]["spent_s"]
    return {"last": last, "best": best}


def assert_same(found, wanted) -> None:
    if isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted, strict=True):
            assert_same(*pair)
    else:
        assert found == wanted


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return outcome(ToyRun(tmp_path_factory.mktemp("uninterrupted"), max_epochs=EPOCHS).train())


@pytest.mark.parametrize("save_interval_s", [-1.0, 300.0], ids=["saved each step", "saved each epoch"])
@pytest.mark.parametrize("iteration", [1, 3, 5, 8, 9])
def test_killed_after_any_iteration(toy, uninterrupted, iteration, save_interval_s):
    first = toy(max_epochs=EPOCHS, save_interval_s=save_interval_s,
                train_handlers=[At(Events.ITERATION_COMPLETED, iteration, kill)])  # fmt: skip
    with pytest.raises(Killed):
        first.train()
    expected = iteration if save_interval_s < 0 else (iteration - 1) // BATCHES * BATCHES
    if expected:
        assert read_checkpoint(first.run_folder.last_state)["facts"]["iteration"] == expected
    else:
        assert not first.run_folder.last_state.exists()
    assert_same(outcome(toy(max_epochs=EPOCHS, resume=True).train()), uninterrupted)


@pytest.mark.parametrize("epoch", [1, 2])
def test_killed_between_validation_and_the_save(toy, uninterrupted, epoch):
    first = toy(max_epochs=EPOCHS)
    save = first.checkpoints._save
    first.checkpoints._save = lambda engine: kill() if engine.state.epoch == epoch else save(engine)
    with pytest.raises(Killed):
        first.train()
    assert first.run_folder.best_model.is_file()
    assert_same(outcome(toy(max_epochs=EPOCHS, resume=True).train()), uninterrupted)


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
@pytest.mark.parametrize("iteration", [2, 3])
def test_asked_to_end(toy, uninterrupted, caplog, number, code, iteration):
    previous = signal.getsignal(getattr(signal, number))
    ask = At(Events.ITERATION_STARTED, iteration, lambda: os.kill(os.getpid(), getattr(signal, number)))
    first = toy(max_epochs=EPOCHS, train_handlers=[ask])
    with pytest.raises(SystemExit) as left:
        first.train()
    assert left.value.code == code
    assert read_checkpoint(first.run_folder.last_state)["facts"]["iteration"] == iteration
    assert signal.getsignal(getattr(signal, number)) == previous
    assert "--resume true goes on from there" in caplog.text
    assert_same(outcome(toy(max_epochs=EPOCHS, resume=True).train()), uninterrupted)


def test_asked_to_end_during_validation(toy, uninterrupted):
    first = toy(max_epochs=EPOCHS)
    first.evaluator.add_event_handler(Events.ITERATION_STARTED(once=2), lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        first.train()
    assert first.evaluator.state.iteration == 2
    facts = read_checkpoint(first.run_folder.last_state)["facts"]
    assert (facts["iteration"], facts["epoch_is_closed"]) == (BATCHES, False)
    assert_same(outcome(toy(max_epochs=EPOCHS, resume=True).train()), uninterrupted)


def test_a_finished_run_can_be_made_longer(toy):
    rates = []
    toy(max_epochs=1).train()
    longer = toy(max_epochs=2, resume=True)
    longer.trainer.add_event_handler(Events.ITERATION_STARTED, lambda: rates.append(longer.trainer.state.iteration))
    longer.train()
    assert rates == [4, 5, 6]
    assert longer.trainer.state.epoch == 2


def test_a_finished_run_has_nothing_left_to_train(toy, caplog):
    caplog.set_level(logging.INFO)
    finished = outcome(toy().train())
    again = toy(resume=True)
    steps = At(Events.ITERATION_STARTED, 1, lambda: pytest.fail("trained on"))
    steps.attach(again.trainer)
    again.train()
    assert "nothing is left to train (max_epochs is 2)" in caplog.text
    assert_same(outcome(again), finished)


def test_a_run_that_waited_enough_is_finished(toy):
    first = toy(max_epochs=9, patience=1)
    first.selection.best_metric = 2.0  # out of reach for a Dice score
    first.train()
    assert first.trainer.state.epoch == 1
    again = toy(max_epochs=9, patience=1, resume=True)
    assert not again.checkpoints.restore(again.trainer)
    patient = toy(max_epochs=9, patience=3, resume=True)
    assert patient.checkpoints.restore(patient.trainer)


def test_without_a_state_the_run_starts_at_its_beginning(toy, uninterrupted, caplog):
    caplog.set_level(logging.INFO)
    assert_same(outcome(toy(max_epochs=EPOCHS, resume=True).train()), uninterrupted)
    assert "does not exist yet: the run starts at its beginning" in caplog.text


def test_a_new_run_does_not_look_at_a_state(toy, uninterrupted):
    toy(max_epochs=1).train()
    assert_same(outcome(toy(max_epochs=EPOCHS).train()), uninterrupted)


def test_another_number_of_iterations_is_refused(toy):
    toy().train()
    other = toy(resume=True)
    other.trainer.state.epoch_length = 7
    with pytest.raises(
        CheckpointError, match="of 3 iterations per epoch, this one has 7\n  mend   resume with the same"
    ):
        other.train()


def test_a_truncated_state_is_refused(toy):
    run = toy().train()
    file = run.run_folder.last_state
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"last\.pt cannot be read"):
        toy(resume=True).train()


def test_the_state_stays_finite_when_the_loss_does_not(toy):
    def loss(prediction, reference):
        seen.append(1)
        value = (prediction[:, 1:] - reference).square().mean()
        return value * float("nan") if len(seen) == BATCHES + 6 else value

    seen: list[int] = []  # each epoch is 3 training batches and 3 validation cases
    run = toy(max_epochs=EPOCHS, loss=loss, save_interval_s=-1.0)
    with pytest.raises(NonFiniteLossError, match="in epoch 2, iteration 6"):
        run.train()
    content = read_checkpoint(run.run_folder.last_state)
    assert content["facts"]["iteration"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in content["model"].values())
    assert torch.equal(content["model"]["0.weight"], run.network[0].weight)
