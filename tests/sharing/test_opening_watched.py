"""Opening, watched by the interpreter and by the system: nothing of a hostile bundle runs, and no bomb costs much."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bombs import bombs
from hostile_bundles import MARKER, builders
from safe_bundle import write

REPOSITORY = Path(__file__).parents[2]
BOMBS = dict(bombs())


def run_watched(paths: list[Path], folder: Path, *before: str) -> dict:
    (folder / "temporary").mkdir()
    (folder / "list").write_text("".join(f"{path}\n" for path in paths))
    script = Path(__file__).with_name("watched_opening.py")
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "HOME": str(folder), "TMPDIR": str(folder / "temporary")}
    done = subprocess.run(
        [*before, sys.executable, "-B", str(script), str(folder / "list")],
        cwd=folder, capture_output=True, text=True, timeout=500, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((folder / "temporary").iterdir()) == []
    return json.loads(done.stdout)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    return [build(folder / f"bundle{number}") for number, (_, build) in enumerate(builders())]


def test_no_hostile_bundle_is_opened_and_nothing_of_any_runs(hostile, tmp_path):
    safe, before = write(tmp_path / "safe"), listing(hostile[0].parent)
    found = run_watched([safe, *hostile], tmp_path)
    assert found["seen"] == []
    texts = {path: text for path, (text, _) in found["results"].items()}
    assert texts.pop(str(safe)) == "opened"
    assert len(texts) == len(hostile) >= 150
    assert {text.partition(":")[0] for text in texts.values()} <= {"BundleTrustError", "NoBundleError"}
    assert listing(hostile[0].parent) == before
    assert not [path for path in listing(tmp_path) if MARKER in path]
    assert found["peak_memory_kib"] < 256 * 1024


def test_the_watch_sees_what_it_is_for(tmp_path, monkeypatch):
    """An opening that does what it never may is told by the same script."""
    evil = tmp_path / "evil.py"
    script = Path(__file__).with_name("watched_opening.py").read_text()
    evil.write_text(script.replace('text = "opened"', "text = os.system('true') or open('outside', 'w').name"))
    (tmp_path / "list").write_text(f"{write(tmp_path / 'safe')}\n")
    environment = {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path / "safe")}
    done = subprocess.run([sys.executable, evil, "list"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    seen = json.loads(done.stdout)["seen"] if done.returncode == 0 else [done.stderr]
    assert [event.split()[0] for event in seen] == ["os.system", "open"]


def strace_works() -> bool:
    tool = shutil.which("strace")
    return tool is not None and subprocess.run([tool, "-o", os.devnull, sys.executable, "-c", ""]).returncode == 0


@pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")
def test_no_socket_and_no_child_by_the_system_calls(hostile, tmp_path):
    log = tmp_path / "calls"
    run_watched(
        [write(tmp_path / "safe"), *hostile], tmp_path,
        str(shutil.which("strace")), "-f", "-o", str(log), "-e", "trace=network,execve,process",
    )  # fmt: skip
    calls = re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)
    assert calls == ["execve", "exit_group"]  # the interpreter's own


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little(name, tmp_path):
    """Memory and disk as the system counts them; seconds of the processor, as others may use it too."""
    path = BOMBS[name](tmp_path / "bomb.zip")
    found = run_watched([path], tmp_path)
    text, seconds = found["results"][str(path)]
    assert text.startswith("BundleTrustError: ")
    assert found["seen"] == []
    assert seconds < 10
    assert found["peak_memory_kib"] < 256 * 1024
