"""What a run says in a terminal or a log."""

from __future__ import annotations

import logging
import re
import sys

import pytest

from monai_seg.engines import NonFiniteLossError


def epoch_lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "monai_seg.handlers.console"]


def test_a_line_for_each_epoch_with_the_validation_where_there_was_one(toy, caplog):
    caplog.set_level(logging.INFO)
    run = toy(max_epochs=3, interval=2).train()
    lines = epoch_lines(caplog)
    assert len(lines) == 3
    number = r"\d\.\d{4}"
    assert re.fullmatch(rf"epoch 1/3  loss {number}  \d+\.\d s", lines[0])
    assert re.fullmatch(rf"epoch 2/3  loss {number}  dice {number}  loss {number}  \(best\)  \d+\.\d s", lines[1])
    assert f"dice {run.evaluator.state.metrics['dice']:.4f}" in lines[2]  # the last epoch is validated too


def test_a_terminal_gets_a_bar_that_is_taken_away_also_after_an_error(toy, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = []

    def loss(prediction, reference):
        shown.append(run.console._bar.tasks[0].fields["epoch"])
        return prediction.sum() * float("nan")

    run = toy(loss=loss)
    with pytest.raises(NonFiniteLossError):
        run.train()
    assert shown == [1]
    assert run.console._bar is None


def test_other_ranks_are_silent(toy, caplog, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    caplog.set_level(logging.INFO)
    toy().train()
    assert epoch_lines(caplog) == []


def test_an_epoch_that_is_only_closed_tells_no_time(toy, caplog):
    """A resumed run may begin with the end of an epoch: nothing was trained, so there is no loss and no duration."""
    caplog.set_level(logging.INFO)
    run = toy()
    run.trainer.state.epoch = 1
    run.console._end_epoch(run.trainer)
    assert epoch_lines(caplog) == ["epoch 1/2"]
