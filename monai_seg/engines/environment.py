"""What a run ran on: enough to say years later why its numbers are what they are."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from monai_seg.engines.distribution import device, world_size
from monai_seg.engines.precision import autocast_dtype

PACKAGES = (
    "monai-seg",
    "monai",
    "torch",
    "pytorch-ignite",
    "numpy",
    "nibabel",
    "scikit-image",
    "pillow",
    "tensorboard",
)


def environment() -> dict[str, Any]:
    """Versions, git revision, command line and device of this process, as JSON takes it."""
    used = device()
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_revision": _git_revision(),
        "device": str(used),
        "device_name": _device_name(used),
        "precision_of_amp_auto": str(autocast_dtype("auto", used) or torch.float32).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": world_size(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Revision of the checkout that this package runs from, with ``-dirty`` where it was changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git, or a very slow disk: the revision is then unknown
        return None
    return found.stdout.strip() or None


def _device_name(used: torch.device) -> str:
    if used.type == "cuda":
        return torch.cuda.get_device_name(used)
    cpu_facts = Path("/proc/cpuinfo")
    if cpu_facts.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpu_facts.read_text().splitlines() if "model name" in line]
        if names:
            return f"{names[0]}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    return platform.processor() or platform.machine()
