"""The learning rate along a run: closed form, time budget on a clock of our own, and what a resumed run remembers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from monai_seg.handlers import CosineSchedule, schedule


class Clock:
    """Seconds that pass only when told so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(schedule, "time", clock)
    return clock


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def run(cosine: CosineSchedule, epochs: int, length: int, clock: Clock | None = None) -> SimpleNamespace:
    """Train with steps of a second and note the rates of the first group; ``done`` counts completed epochs."""
    noted = SimpleNamespace(rates=[], done=0)

    def step(engine, batch):
        noted.rates.append([group["lr"] for group in cosine.optimizer.param_groups])
        if clock is not None:
            clock.now += 1

    engine = Engine(step)
    cosine.attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: setattr(noted, "done", noted.done + 1))
    noted.state = engine.run(range(length), max_epochs=epochs)
    return noted


def expected_rate(progress: float, warmup: float) -> float:
    rise = min(1.0, progress / warmup) if warmup else 1.0
    return rise * (1 + math.cos(math.pi * progress)) / 2


@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.5])
def test_rate_of_each_iteration_is_the_closed_form_for_each_group(warmup):
    noted = run(CosineSchedule(optimizer(1.0, 0.25), warmup_share=warmup), epochs=4, length=5)
    factors = [expected_rate((index + 0.5) / 20, warmup) for index in range(20)]
    assert [rates[0] for rates in noted.rates] == pytest.approx(factors)
    assert [rates[1] for rates in noted.rates] == pytest.approx([factor / 4 for factor in factors])
    assert all(rates[0] > 0 for rates in noted.rates)


@given(st.floats(0, 1), st.floats(0, 1))
def test_after_the_warm_up_the_rate_only_falls(first, second):
    cosine = CosineSchedule(optimizer(1.0), warmup_share=0.03)
    early, late = sorted([0.03 + 0.97 * first, 0.03 + 0.97 * second])
    assert 1 >= cosine.rate_factor(early) >= cosine.rate_factor(late) - 1e-12 >= -1e-12


def test_progress_is_that_of_the_middle_of_the_iteration():
    seen, cosine = [], CosineSchedule(optimizer(1.0))
    engine = Engine(lambda engine, batch: seen.append(cosine.progress))
    cosine.attach(engine)
    engine.run(range(5), max_epochs=2)
    assert seen == pytest.approx([(index + 0.5) / 10 for index in range(10)])


def test_ends_of_the_curve():
    cosine = CosineSchedule(optimizer(1.0), warmup_share=0.1)
    assert cosine.rate_factor(0.0) == 0
    assert cosine.rate_factor(0.05) == pytest.approx(0.5 * (1 + math.cos(0.05 * math.pi)) / 2)
    assert cosine.rate_factor(0.5) == pytest.approx(0.5)
    assert cosine.rate_factor(1.0) == cosine.rate_factor(1.7) == 0  # a step that ran over the time


def test_budget_sets_the_pace_and_ends_the_run_as_an_epoch(clock):
    noted = run(CosineSchedule(optimizer(1.0), time_budget_s=10, warmup_share=0), epochs=100, length=4, clock=clock)
    assert len(noted.rates) == 10
    assert (noted.state.epoch, noted.state.iteration, noted.done) == (3, 10, 3)
    # The first step has spent no time, but its half iteration of 400 counts.
    assert [rates[0] for rates in noted.rates] == pytest.approx(
        [expected_rate(max(second / 10, (second + 0.5) / 400), 0) for second in range(10)]
    )


def test_epochs_end_the_run_where_they_come_first(clock):
    noted = run(CosineSchedule(optimizer(1.0), time_budget_s=1e6, warmup_share=0), epochs=2, length=4, clock=clock)
    assert len(noted.rates) == 8
    assert noted.rates[-1][0] == pytest.approx(expected_rate(7.5 / 8, 0))


def test_a_resumed_run_has_only_the_rest_of_its_time(clock):
    first = CosineSchedule(optimizer(1.0), time_budget_s=10)
    run(first, epochs=1, length=6, clock=clock)
    state = first.state_dict()
    assert state["spent_s"] == 6
    clock.now += 5000  # between the sessions
    second = CosineSchedule(optimizer(0.5), time_budget_s=10)
    second.load_state_dict(state)
    assert (second.spent_s, second.is_spent) == (6, False)
    clock.now += 100  # between loading and training
    noted = run(second, epochs=100, length=6, clock=clock)
    assert len(noted.rates) == 4
    assert second.is_spent
    assert second.state_dict() == {"spent_s": 10}
    # The base rate is a setting of this session, not of the first one.
    assert noted.rates[1][0] == pytest.approx(0.5 * expected_rate(0.7, 0.03))


def test_without_a_budget_the_clock_does_not_matter(clock):
    cosine = CosineSchedule(optimizer(1.0))
    noted = run(cosine, epochs=1, length=3, clock=clock)
    again = run(CosineSchedule(optimizer(1.0)), epochs=1, length=3)
    assert noted.rates == again.rates
    assert not cosine.is_spent


def test_negative_budget_is_refused():
    with pytest.raises(ValueError, match=r"time_budget_s is -1; give seconds, or 0 for no limit"):
        CosineSchedule(optimizer(1.0), time_budget_s=-1)
