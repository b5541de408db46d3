"""False alarms of the audit: honest bundles need trust, as they run code, none is refused; dangerous ones are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safe_bundle import with_value, write
from zoo_bundles import HABITS, zoo_bundle

from monai_seg.sharing.audit import Verdict, audit

REPOSITORY = Path(__file__).parents[2]
# Beside what is usual, each by one step: what it does is no habit of an honest bundle.
DANGEROUS = (
    "$os.system('x')",
    "$os.popen('x').read()",
    "$os.environ.update({'LD_PRELOAD': 'x.so'})",
    "$os.path.os.system('x')",
    "$monai.bundle.scripts.os.path.join('a')",
    "$os",
    "$sorted(['x'], key=os.system)",
    "$(lambda module: module.execlp('x'))(os)",
    "$os.path.join.__globals__",
    "$os.remove('x')",
    "$open('x', 'w')",
    "$open('x', mode=@mode)",
    "$open('x', opener=@opener)",
    "$pathlib.Path('x').write_text('y')",
    "$pathlib.Path('x').unlink()",
    "$setattr(monai, 'benchmark', True)",
    "$setattr(torch.backends.cudnn, 'flags', @evil)",
    "$setattr(torch.backends.cudnn, 'benchmark', print)",
    "$import os as path",
    "$import scripts.evil as os",
    "$from scripts import os",
    "$from scripts.glob import glob",
    "$from os import system",
    "$from os import *",
    "$import os, subprocess",
    "$import subprocess",
    "$import shutil",
    "$import ctypes",
    "$import pickle",
    "$import importlib",
    "$sys.modules['os']",
    "$sys.path.insert(0, '/tmp')",
    "$functools.partial(os.system, 'x')",
    "$partial(eval, '1')()",
    "$eval('1')",
    "$exec('1')",
    "$logging.os.getcwd()",
    "$tempfile.os.getcwd()",
    "$glob.os.getcwd()",
)


@pytest.mark.parametrize("name", HABITS)
def test_an_honest_bundle_of_the_zoos_kind_is_not_refused(name, tmp_path):
    report = audit(zoo_bundle(tmp_path / name, name))
    assert [each for each in report.findings if each.level == Verdict.REFUSED] == []
    assert report.verdict == Verdict.NEEDS_TRUST
    assert any(each.reason == "is a pickle, which runs what it names" for each in report.findings)


def test_what_an_honest_bundle_does_is_told_all_the_same(tmp_path):
    reasons = {each.reason for each in audit(zoo_bundle(tmp_path, "spleen")).findings}
    assert {"an expression imports os", "an expression calls os.path.join", "an expression calls setattr"} <= reasons


@pytest.mark.parametrize("text", DANGEROUS)
def test_one_step_beside_the_usual_is_refused(text, tmp_path):
    assert audit(write(tmp_path / "bundle", with_value(text))).verdict == Verdict.REFUSED


def test_the_rate_is_counted_by_command(tmp_path):
    for name in ("spleen", "template"):
        zoo_bundle(tmp_path / name, name)
    write(tmp_path / "data_alone")
    write(tmp_path / "hostile", with_value("$os.system('x')"))
    (tmp_path / "notes.txt").write_text("no bundle")
    command = [sys.executable, str(REPOSITORY / "scripts" / "bench" / "bench_audit.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "DATA-ONLY    1 of 4\nNEEDS-TRUST  2 of 4\nREFUSED      1 of 4\n" in done.stdout
    assert "1 x  an expression uses 'system'" in done.stdout
