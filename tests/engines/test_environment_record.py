"""The record of what a run ran on."""

from __future__ import annotations

import json
import platform
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

import torch

import monai_seg.engines.environment as environment


def test_record_is_json_and_says_what_ran(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python", "-m", "monai.bundle", "run", "two words"])
    record = environment.environment()
    assert json.loads(json.dumps(record)) == record
    assert record["python"] == platform.python_version()
    assert (
        record["packages"]["torch"] == torch.__version__.split("+")[0]
        or record["packages"]["torch"] == torch.__version__
    )
    assert None not in record["packages"].values()
    assert record["processes"] == 1
    assert record["threads"] == torch.get_num_threads()
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(record["time"])).total_seconds()) < 60
    assert record["command"] == f"{Path(sys.executable).name} -m monai.bundle run 'two words'"
    assert record["device_name"]
    assert record["precision_of_amp_auto"] in ("float32", "bfloat16", "float16")


def test_revision_of_the_checkout_or_nothing(monkeypatch):
    revision = environment.environment()["git_revision"]
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)
    monkeypatch.setenv("PATH", "")
    assert environment.environment()["git_revision"] is None


def test_package_that_is_not_installed_is_recorded_as_such(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert environment.environment()["packages"] == {"torch": environment.version("torch"), "no-such-package": None}


def test_processes_are_counted(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert environment.environment()["processes"] == 4
