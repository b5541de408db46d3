"""Signals that end a run tidily."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from monai_seg.handlers.interruption import SIGNALS, Interruption


@pytest.fixture
def interruption():
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    interruption = Interruption()
    interruption.listen()
    yield interruption
    interruption.stop_listening()
    assert {number: signal.getsignal(number) for number in SIGNALS} == previous


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_is_remembered_and_has_its_exit_code(interruption, name, code):
    assert interruption.received is None
    os.kill(os.getpid(), getattr(signal, name))
    assert interruption.received == getattr(signal, name)
    assert interruption.exit_code == code


def test_a_second_interrupt_acts_at_once(interruption):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_leaves_the_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    errors = []

    def listen():
        interruption = Interruption()
        try:
            interruption.listen()
            interruption.stop_listening()
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert not errors
    assert signal.getsignal(signal.SIGTERM) is before


def test_giving_back_twice_does_no_harm(interruption):
    interruption.stop_listening()
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interruption.stop_listening()
    assert signal.signal(signal.SIGTERM, mine) == signal.SIG_IGN
