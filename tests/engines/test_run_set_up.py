"""What every run does first: the order of it, its errors on the screen, and seeds."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch

from monai_seg.engines import RunFolderError, distribution
from monai_seg.engines import setup as first_steps


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for what_needs_a_configuration in ("check_keys", "remember_bundle_root"):
        monkeypatch.setattr(first_steps, what_needs_a_configuration, lambda: None)
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags


def test_all_generators_are_seeded():
    def draws(seed):
        first_steps.set_up(seed)
        return random.random(), np.random.rand(), torch.rand(()).item()

    assert draws(3) == draws(3)
    assert all(a != b for a, b in zip(draws(3), draws(4), strict=True))


def test_keys_are_checked_before_anything_else(monkeypatch):
    def refuse():
        raise LookupError("unknown key")

    monkeypatch.setattr(first_steps, "check_keys", refuse)
    monkeypatch.setattr(first_steps, "start_distribution", lambda: pytest.fail("processes were joined"))
    with pytest.raises(LookupError):
        first_steps.set_up()


def shown(error: BaseException, capsys) -> str:
    first_steps.set_up()
    try:
        try:
            raise error
        except type(error) as cause:
            raise RuntimeError("Failed to evaluate '$...'") from cause
    except RuntimeError as wrapped:
        sys.excepthook(type(wrapped), wrapped, wrapped.__traceback__)
    return capsys.readouterr().err


def test_an_error_of_ours_is_shown_without_the_pages_around_it(capsys):
    assert shown(RunFolderError("no run\n  mend   train first"), capsys) == "\nerror: no run\n  mend   train first\n"


def test_any_other_error_keeps_its_traceback(capsys):
    text = shown(KeyError("pred"), capsys)
    assert "Traceback" in text
    assert "KeyError: 'pred'" in text


def test_one_process_is_rank_zero_of_one(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (distribution.rank(), distribution.world_size()) == (0, 1)
    distribution.start_distribution()
    assert not torch.distributed.is_initialized()
    assert distribution.from_first_rank("x") == "x"
    assert distribution.from_all_ranks("x") == ["x"]
    distribution.wait_for_all_ranks()


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda:1"), (False, True, "mps"), (False, False, "cpu")]
)
def test_device_of_this_process(monkeypatch, cuda, mps, expected):
    chosen = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert distribution.device() == torch.device(expected)
    assert chosen == ([1] if cuda else [])
