"""The archive of an export: its bytes are those of its files, and it is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from monai_seg.sharing.export.archive import write_archive


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, content in {
        "b/two.bin": bytes(range(256)) * 9000,
        "a.txt": b"a",
        "b/a/deep.txt": b"",
        "ü.txt": b"u",
    }.items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "bundle"


def test_it_holds_all_files_by_name_and_none_is_changed(folder, tmp_path):
    write_archive(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.txt", "b/a/deep.txt", "b/two.bin", "ü.txt"]
        for name in archive.namelist():
            assert archive.read(name) == (folder / name).read_bytes()


def test_times_rights_and_the_order_of_making_do_not_change_it(folder, tmp_path):
    write_archive(folder, tmp_path / "one.zip")
    other = tmp_path / "other"
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True):
        copy = other / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o700)
        os.utime(copy, (1e9, 1e9))
    (other / "empty folder").mkdir()
    write_archive(other, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_members_are_plain_files_that_are_not_packed(folder, tmp_path):
    write_archive(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert stat.S_ISREG(info.external_attr >> 16)
            assert stat.S_IMODE(info.external_attr >> 16) == 0o644
            assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_an_archive_that_cannot_be_finished_leaves_the_old_one(folder, tmp_path, monkeypatch):
    archive = tmp_path / "sent" / "bundle.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"the old one")
    opened = Path.open

    def full(self, *arguments, **options):
        if self.name == "two.bin":
            raise OSError(28, "No space left on device")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        write_archive(folder, archive)
    assert archive.read_bytes() == b"the old one"
    assert [path.name for path in archive.parent.iterdir()] == ["bundle.zip"]
