"""Unpacking: exactly the files that were listed, whole or not at all, and nothing outside of the new folder."""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_bundle import files, write, zipped

from monai_seg.sharing import unpack as unpack_module
from monai_seg.sharing.audit.members import Members
from monai_seg.sharing.unpack import UnsafeBundleError, unpack

NAMES = st.lists(
    st.sampled_from(["a", "A", "b.txt", "ﬁ", "fi", "..", ".", "", "con", "C:", "a\\b", "é", "e\u0301", "x ", "\u202e"])
    | st.text(max_size=4),
    min_size=1,
    max_size=4,
).map("/".join)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "archive"])
def test_the_same_files_with_plain_rights(as_zip, tmp_path):
    source = write(tmp_path / "source")
    (source / "LICENSE").chmod(0o4755)
    (source / "docs" / "empty").mkdir()
    expected = contents(source)
    if as_zip:
        info = zipfile.ZipInfo("LICENSE")
        info.external_attr = (stat.S_IFREG | 0o4777) << 16
        members = [(info, b"CC0"), ("docs/", b""), *((n, c) for n, c in expected.items() if n != "LICENSE")]
        source = zipped(tmp_path / "source.zip", members)
    before = os.umask(0o077)
    try:
        unpack(source, tmp_path / "new")
    finally:
        os.umask(before)
    assert contents(tmp_path / "new") == expected
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new", tmp_path / "new" / "docs")}
    assert (modes, folders) == ({0o644}, {0o755})


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "new").symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="new is there already"):
        unpack(write(tmp_path / "source"), tmp_path / "new")


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../x", b"x"), "leads elsewhere"),
        (("/x", b"x"), "absolute path"),
        ((link("docs/a.md"), b"/etc/passwd"), "is a link"),
        (("license", b"x"), "would replace LICENSE"),
        (("DOCS/a.md", b"x"), "where case or accents do not count"),
        (("LICENSE/x", b"x"), "lies in LICENSE, which is a file"),
        (("docs/a.txt", b"\0" * (2 << 20)), "times its size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_leaves_nothing(member, reason, tmp_path):
    source = zipped(tmp_path / "source.zip", [*files().items(), member])
    with pytest.raises(UnsafeBundleError, match=rf"(?s){reason}.*\n  mend   do not use it"):
        unpack(source, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_grows_or_shrinks_meanwhile(tmp_path, monkeypatch):
    source, opened = write(tmp_path / "source"), Members.opened
    changes: dict[str, bytes] = {}

    @contextmanager
    def changing(self: Members, name: str) -> Iterator:
        if name in changes:
            (source / name).write_bytes(changes[name])
        with opened(self, name) as file:
            yield file

    monkeypatch.setattr(Members, "opened", changing)
    for content, reason in ((b"x" * 10_000_000, "more"), (b"", "less")):
        (source / "docs" / "README.md").write_bytes(b"as it was")
        changes["docs/README.md"] = content
        with pytest.raises(UnsafeBundleError, match=rf"docs/README\.md  has {reason} than the 9 bytes"):
            unpack(source, tmp_path / "new")
        assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_becomes_a_link_meanwhile(tmp_path, monkeypatch):
    source, secret = write(tmp_path / "source"), tmp_path / "secret"
    secret.write_bytes(b"CC0")
    make = unpack_module._make_folders

    def swapping(folder: Path, name: str) -> None:
        make(folder, name)
        if not (source / "LICENSE").is_symlink():
            (source / "LICENSE").unlink()
            (source / "LICENSE").symlink_to(secret)

    monkeypatch.setattr(unpack_module, "_make_folders", swapping)
    with pytest.raises(UnsafeBundleError, match="LICENSE  cannot be read"):
        unpack(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    source = write(tmp_path / "source")
    monkeypatch.setattr(unpack_module, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(source, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [source]


def test_more_bytes_than_a_bundle_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "MOST_BYTES", 100)
    with pytest.raises(UnsafeBundleError, match="than the"):
        unpack(write(tmp_path / "source"), tmp_path / "new")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=20), max_size=5))
def test_any_names_give_those_files_or_nothing(members):
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "deep" / "place"
        place.mkdir(parents=True)
        try:
            source = zipped(place / "source.zip", list(members.items()))
        except (ValueError, IndexError):  # zipfile cannot write it: a lone surrogate, or no letter before a NUL
            return
        try:
            unpack(source, place / "new")
        except UnsafeBundleError:
            assert list(place.iterdir()) == [source]
        else:
            # zipfile ends a name at a NUL, and makes of a name that ends in a slash a folder.
            whole = {name.partition("\0")[0]: content for name, content in members.items()}
            assert contents(place / "new") == {name: text for name, text in whole.items() if not name.endswith("/")}
        assert [path.name for path in Path(temporary).iterdir()] == ["deep"]
        assert [path.name for path in place.parent.iterdir()] == ["place"]
