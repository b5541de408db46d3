"""Which model is kept and when training stops, also across sessions of one run."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine, Events

from monai_seg.engines import RunFolder, read_checkpoint
from monai_seg.handlers import ModelSelection


class Session:
    """A trainer and an evaluator whose metric is told; the network's one weight is the epoch."""

    def __init__(self, folder, patience: int = 0, keep: str = "best") -> None:
        self.trainer, self.evaluator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
        self.network = torch.nn.Linear(1, 1, bias=False)
        run_folder = RunFolder(folder, run_dir=folder)
        self.selection = ModelSelection(self.evaluator, self.network, run_folder, patience, keep)
        self.selection.attach(self.trainer)
        self.evaluator.state.key_metric_name = "dice"

    def validate(self, epoch: int, value: float) -> bool:
        """Validate an epoch and say whether training stops."""
        self.trainer.state.epoch = epoch
        torch.nn.init.constant_(self.network.weight, epoch)
        self.evaluator.state.metrics = {"dice": value, "loss": -value}
        self.evaluator.fire_event(Events.COMPLETED)
        self.trainer.fire_event(Events.EPOCH_COMPLETED)
        return self.trainer.should_terminate

    def kept(self) -> tuple[int, float]:
        content = read_checkpoint(self.selection.run_folder.best_model)
        assert content["facts"]["epoch"] == content["model"]["weight"].item()
        return content["facts"]["epoch"], content["facts"]["value"]


def test_the_model_of_the_highest_metric_is_kept(tmp_path):
    session = Session(tmp_path)
    for epoch, value in enumerate([0.3, 0.5, 0.5, 0.4, 0.6, 0.1], start=1):
        session.validate(epoch, value)
    assert session.kept() == (5, 0.6)
    assert session.selection.state_dict() == {"best_metric": 0.6, "best_epoch": 5, "waited": 1}


def test_the_first_of_equals_is_kept(tmp_path):
    session = Session(tmp_path)
    session.validate(1, 0.5)
    session.validate(2, 0.5)
    assert session.kept() == (1, 0.5)


def test_the_last_model_is_kept_where_that_is_asked_for(tmp_path):
    session = Session(tmp_path, patience=3, keep="last")
    stopped = [session.validate(epoch, value) for epoch, value in enumerate([0.3, 0.6, 0.5, math.nan, 0.4], start=1)]
    assert session.kept() == (5, 0.4)
    assert stopped == [False, False, False, False, True]  # patience still asks for the best
    assert session.selection.state_dict()["best_metric"] == 0.6


def test_a_rule_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep is 'first'; give best or last"):
        Session(tmp_path, keep="first")


def test_an_undefined_metric_selects_nothing_but_zero_does(tmp_path):
    session = Session(tmp_path)
    session.validate(1, math.nan)
    assert not session.selection.run_folder.best_model.exists()
    session.validate(2, 0.0)
    assert session.kept() == (2, 0.0)
    session.validate(3, math.nan)
    assert session.kept() == (2, 0.0)


@pytest.mark.parametrize(
    ("patience", "values", "stop"),
    [
        (2, [0.1, 0.2, 0.1, 0.2, 0.9], 4),
        (1, [0.1, 0.2, 0.3, 0.3], 4),
        (3, [0.5, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1], 7),
        (2, [math.nan, math.nan, 0.5], 2),
        (0, [0.5, 0.1, 0.1, 0.1, 0.1, 0.1], None),
    ],
)
def test_patience_counts_validations_since_the_last_rise(tmp_path, patience, values, stop):
    session = Session(tmp_path, patience)
    stopped = (epoch for epoch, value in enumerate(values, start=1) if session.validate(epoch, value))
    assert next(stopped, None) == stop
    assert session.selection.has_waited_enough is (stop is not None)


def resumed(session: Session, tmp_path, patience: int = 0) -> Session:
    other = Session(tmp_path, patience)
    other.selection.load_state_dict(session.selection.state_dict())
    return other


def test_a_resumed_run_neither_forgets_its_best_model_nor_how_long_it_waited(tmp_path):
    first = Session(tmp_path, patience=3)
    first.validate(1, 0.8)
    first.validate(2, 0.1)
    second = resumed(first, tmp_path, patience=3)
    assert not second.validate(3, 0.7)
    assert second.kept() == (1, 0.8)
    assert second.validate(4, 0.7)
    assert resumed(second, tmp_path, patience=3).selection.has_waited_enough


def test_a_better_model_that_the_state_does_not_know_of_is_kept(tmp_path):
    first = Session(tmp_path)
    first.validate(1, 0.3)
    before_the_kill = first.selection.state_dict()
    first.validate(2, 0.8)  # saved best.pt, and then was killed before last.pt
    second = Session(tmp_path)
    second.selection.load_state_dict(before_the_kill)
    second.validate(2, 0.6)
    assert second.kept() == (2, 0.8)
    second.validate(3, 0.7)
    assert second.kept() == (2, 0.8)
    assert second.selection.best_metric == 0.7
    second.validate(4, 0.9)
    assert second.kept() == (4, 0.9)


def test_an_epoch_done_again_to_the_same_end_leaves_the_same_state(tmp_path):
    first = Session(tmp_path)
    first.validate(1, 0.3)
    state = first.selection.state_dict()
    first.validate(2, 0.8)
    second = Session(tmp_path)
    second.selection.load_state_dict(state)
    second.validate(2, 0.8)
    assert second.selection.state_dict() == first.selection.state_dict()
    assert second.kept() == (2, 0.8)


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    session = Session(tmp_path)
    session.validate(1, 0.5)
    assert session.selection.best_metric == 0.5
    assert not session.selection.run_folder.best_model.exists()
