"""A bar shows only what takes long, and never changes what passes through."""

from __future__ import annotations

import pytest

from monai_seg.data import progress


@pytest.mark.parametrize("shown", [False, True])
def test_items_pass_in_order(shown, capsys):
    assert list(progress.watched(iter("abc"), 3, shown)) == list("abc")
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_shows_a_bar_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_QUIET_S", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # taken for a terminal
    assert list(progress.watched(range(5), 5, True, "reading")) == [0, 1, 2, 3, 4]
    assert "reading" in capsys.readouterr().err


def test_an_error_passes_and_leaves_no_bar(monkeypatch):
    monkeypatch.setattr(progress, "_QUIET_S", -1.0)
    for _ in range(2):  # a bar that was left would refuse the next one
        with pytest.raises(ZeroDivisionError):
            list(progress.watched((1 / number for number in (2, 1, 0)), 3, True))
