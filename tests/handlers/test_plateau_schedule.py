"""The learning rate on a plateau, against PyTorch's own scheduler."""

from types import SimpleNamespace

import pytest
import torch

from monai_seg.handlers.plateau import PlateauSchedule

RISES = [-2.0, -1.0, -1.00005, -1.2, -0.9, -0.95, -0.9, -0.91, -0.90001, -0.5, -0.6, -0.6, -0.6, -0.6, -0.6, -0.6]
SHARES = [0.1, 0.2, 0.20001, 0.19, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, float("nan"), 0.31, 0.2]


def made(patience: int = 1) -> tuple[PlateauSchedule, torch.optim.Optimizer, SimpleNamespace]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    evaluator = SimpleNamespace(state=SimpleNamespace(metrics={}, key_metric_name="score"))
    return PlateauSchedule(optimizer, evaluator, factor=0.1, patience=patience), optimizer, evaluator


def rates(values, patience: int, restart_at: int = -1) -> list[float]:
    schedule, _, evaluator = made(patience)
    found = []
    for number, value in enumerate(values):
        if number == restart_at:
            state = schedule.state_dict()
            schedule, _, evaluator = made(patience)
            schedule.load_state_dict(state)
        evaluator.state.metrics["score"] = value
        schedule._judge()
        found.append(0.5 * schedule.rate_factor(0.3))
    return found


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("values", [RISES, SHARES], ids=["likelihood", "share"])
def test_as_pytorch(values, patience):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    sign = -1 if values is RISES else 1  # PyTorch's relative threshold is one of the loss, which is above 0
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min" if sign < 0 else "max", factor=0.1, patience=patience, eps=0
    )
    wanted = []
    for value in values:
        theirs.step(sign * value)
        wanted.append(optimizer.param_groups[0]["lr"])
    assert rates(values, patience) == pytest.approx(wanted)
    assert rates(values, patience, restart_at=7) == pytest.approx(wanted)


@pytest.mark.parametrize("settings", [{"factor": 1.0}, {"patience": -1}])
def test_what_is_refused(settings):
    _, optimizer, evaluator = made()
    with pytest.raises(ValueError, match=r"factor is .*, patience"):
        PlateauSchedule(optimizer, evaluator, **settings)
