"""Atomic files: whole or not at all, no temporary file left, the old content safe."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from monai_seg.data import atomic
from monai_seg.data.atomic import atomic_path, remove_leftovers, write_bytes_atomic, write_text_atomic


def test_text_and_bytes_in_a_new_folder(tmp_path):
    write_text_atomic(tmp_path / "new" / "a.txt", "Größe\n")
    write_bytes_atomic(tmp_path / "new" / "b", b"\0\1")
    assert (tmp_path / "new" / "a.txt").read_text("utf-8") == "Größe\n"
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.txt", "b"]


def test_temporary_name_keeps_the_extension_and_is_hidden(tmp_path):
    with atomic_path(tmp_path / "a.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith("a.nii.gz")
        temporary.write_bytes(b"x")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_are_those_of_an_ordinary_file_or_of_the_old_one(tmp_path):
    (tmp_path / "ordinary").write_text("")
    write_text_atomic(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    (tmp_path / "a").chmod(0o640)
    write_text_atomic(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.EPIPE, "x")])
def test_failure_in_the_block_leaves_the_old_file(tmp_path, error):
    write_text_atomic(tmp_path / "a", "old")

    def write_and_fail() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_and_fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk_names_the_file_and_the_remedy(tmp_path, monkeypatch, function):
    write_text_atomic(tmp_path / "a", "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, function, full)
    with pytest.raises(OSError, match=r"free some space.*/a'"):
        write_text_atomic(tmp_path / "a", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_writer_leaves_a_whole_file(tmp_path):
    target = tmp_path / "a"
    program = (
        "import sys\nfrom monai_seg.data.atomic import write_bytes_atomic\n"
        "while True:\n    for letter in (b'a', b'b'):\n        write_bytes_atomic(sys.argv[1], letter * 3_000_000)\n"
    )
    for delay_s in (0.01, 0.03, 0.05):
        with subprocess.Popen([sys.executable, "-c", program, str(target)]) as writer:
            while not target.exists():
                time.sleep(0.01)
            time.sleep(delay_s)
            writer.send_signal(signal.SIGKILL)
        content = target.read_bytes()
        assert content in (b"a" * 3_000_000, b"b" * 3_000_000)
    remove_leftovers(target)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
