"""The audit of bundles: data alone passes, everything else is flagged, and nothing of a bundle ever runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_bundles import MARKER, builders
from safe_bundle import files, with_value, write, zipped
from typer.testing import CliRunner

from monai_seg.cli import app
from monai_seg.sharing.audit import Verdict, audit
from monai_seg.sharing.manifest import ManifestError, verify_manifest, write_manifest

HOSTILE = dict(builders())
REPOSITORY = Path(__file__).parents[2]
# What the audit may never do: each is told by the interpreter itself.
WATCHED = """
import sys
forbidden = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.spawn", "pickle.find_class", "os.remove",
             "os.rename", "os.mkdir", "os.symlink", "os.link", "os.chmod", "shutil.", "ctypes.")
seen = []
def hook(event, arguments):
    if event.startswith(forbidden):
        seen.append(event)
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+"):
        seen.append(f"open {arguments[0]} {arguments[1]}")
    elif event == "import" and arguments[0].split(".")[0] in ("torch", "monai", "numpy", "ignite", "nrrd", "fire"):
        seen.append(f"import {arguments[0]}")
from monai_seg.sharing.audit import audit
sys.addaudithook(hook)
verdicts = {}
for path in sys.argv[1:]:
    verdicts[path] = str(audit(path).verdict)
found = [list(seen), verdicts]
import json
status = open("/proc/self/status") if sys.platform == "linux" else []
peak = [line.split()[1] for line in status if line.startswith("VmHWM")] or [0]
print(json.dumps([*found, int(peak[0])]))
"""


def test_data_alone_is_data_only(tmp_path):
    folder = write(tmp_path / "bundle")
    report = audit(folder)
    assert report.findings == []
    assert report.verdict == Verdict.DATA_ONLY
    assert set(report.hashes) == {*files(), "manifest.json"}
    members = [(name, (folder / name).read_bytes()) for name in report.hashes]
    assert audit(zipped(tmp_path / "bundle.zip", members)).verdict == Verdict.DATA_ONLY


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 150


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_bundle_is_flagged(name, tmp_path):
    report = audit(HOSTILE[name](tmp_path / "bundle"))
    assert report.verdict > Verdict.DATA_ONLY, name
    assert all(finding.file and finding.reason for finding in report.findings)
    assert not list(tmp_path.rglob(MARKER))


def test_nothing_of_a_bundle_runs_and_no_heavy_library_is_imported(tmp_path):
    """Over all of them, in a process that is watched; 256 MiB of memory and 10 seconds for each are plenty."""
    paths = [HOSTILE[name](tmp_path / f"bundle{number}") for number, name in enumerate(HOSTILE)]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, paths)], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen, verdicts, memory_kib = json.loads(done.stdout)
    assert seen == []
    assert len(verdicts) == len(HOSTILE)
    assert "DATA-ONLY" not in verdicts.values()
    assert memory_kib < 256 * 1024
    assert not list(tmp_path.rglob(MARKER))


def test_each_changed_byte_is_refused(tmp_path):
    folder = write(tmp_path / "bundle")
    for name in ("configs/inference.json", "models/model.safetensors", "LICENSE"):
        whole = (folder / name).read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            changed = bytearray(whole)
            changed[place] ^= 1
            (folder / name).write_bytes(bytes(changed))
            with pytest.raises(ManifestError, match=f"{name}  was changed"):
                verify_manifest(folder)
        (folder / name).write_bytes(whole)
    verify_manifest(folder)


def test_missing_and_added_files_are_named(tmp_path):
    folder = write(tmp_path / "bundle")
    (folder / "LICENSE").rename(folder / "docs" / "LICENSE")
    with pytest.raises(
        ManifestError, match=r"LICENSE  is missing\n  docs/LICENSE  was not sent\n  mend   fetch it again"
    ):
        verify_manifest(folder)
    write_manifest(folder)
    verify_manifest(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"holds no manifest\.json"):
        verify_manifest(folder)


@pytest.mark.parametrize("bundle", sorted(path.name for path in (REPOSITORY / "bundles").iterdir() if path.is_dir()))
def test_bundles_of_this_repository_need_trust_and_are_not_refused(bundle):
    """They are written for the author: with expressions, but with nothing that no bundle needs."""
    report = audit(REPOSITORY / "bundles" / bundle)
    assert report.verdict == Verdict.NEEDS_TRUST, [each for each in report.findings if each.level == Verdict.REFUSED]


def test_table_and_exit_codes(tmp_path):
    run = CliRunner().invoke
    assert run(app, ["audit", str(write(tmp_path / "a"))]).exit_code == 0
    found = run(app, ["audit", str(write(tmp_path / "b", with_value("$1 + 1")))])
    assert found.exit_code == 1
    assert "configs/inference.json:1" in found.output.replace("\n", "")
    assert "NEEDS-TRUST" in found.output
    refused = run(app, ["audit", str(write(tmp_path / "c", with_value("$__import__('os')"))), "--json"])
    assert refused.exit_code == 2
    content = json.loads(refused.output)
    assert content["verdict"] == "REFUSED"
    assert {"level", "file", "line", "reason"} == content["findings"][0].keys()
    missing = run(app, ["audit", str(tmp_path / "none")])
    assert missing.exit_code == 2
    assert "there is no" in missing.output + missing.stderr
