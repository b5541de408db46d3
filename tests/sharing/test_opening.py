"""Opening: what is not ours is data alone and as it was sent, or trusted, or not opened."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe_bundle import files, with_value, write, zipped
from test_unpack import contents
from typer.testing import CliRunner

from monai_seg.cli import app
from monai_seg.sharing import opening
from monai_seg.sharing.opening import BundleTrustError, NoBundleError, OpenedBundle, opened_bundle

REPOSITORY = Path(__file__).parents[2]
MEMBRANE = REPOSITORY / "bundles" / "membrane_em_segmentation"
REFUSALS = (BundleTrustError, NoBundleError)


def archive_of(folder: Path, prefix: str = "") -> Path:
    members = [(prefix + name, content) for name, content in sorted(contents(folder).items())]
    return zipped(folder.with_suffix(".zip"), members)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder that copies are made in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


# --- what is opened, and as what


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "archive"])
def test_data_alone_is_opened_as_a_copy(as_zip, tmp_path, temporary):
    folder = write(tmp_path / "cells")
    path = archive_of(folder) if as_zip else folder
    with opened_bundle(path) as opened:
        assert opened.is_data
        assert opened.root.name == "cells"
        assert temporary in opened.root.parents
        assert contents(opened.root) == contents(folder)
    assert list(temporary.iterdir()) == []


def test_ours_is_opened_as_it_is(tmp_path):
    with opened_bundle(MEMBRANE) as opened:
        assert opened == OpenedBundle(MEMBRANE, is_data=False)
    (tmp_path / "link").symlink_to(MEMBRANE)
    assert opening.is_ours(tmp_path / "link")
    assert not opening.is_ours(REPOSITORY / "bundles")


def test_a_link_among_ours_that_leads_elsewhere_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "OUR_BUNDLES", tmp_path / "bundles")
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "evil").symlink_to(write(tmp_path / "evil", with_value("$1 + 1")))
    with pytest.raises(BundleTrustError), opened_bundle(tmp_path / "bundles" / "evil"):
        pass


@pytest.mark.parametrize("prefix", [None, "", "top/"], ids=["folder", "archive", "archive with one folder"])
def test_trust_says_what_will_run(prefix, tmp_path, temporary, caplog):
    folder = shutil.copytree(MEMBRANE, tmp_path / "copy")
    path = folder if prefix is None else archive_of(folder, prefix)
    with pytest.raises(BundleTrustError) as refused, opened_bundle(path):
        pass
    said = str(refused.value)
    assert re.search(r"copy(\.zip)? runs code that is not ours, or might\n  ", said)
    assert re.search(rf"\n  {prefix or ''}configs/\w+\.yaml:\d+  an expression ", said)
    assert re.search(r"\n  and 2\d\d more\n  mend   see everything: monai-seg audit .*copy", said)
    assert said.endswith("\n  mend   if you trust who made it, add --trust")
    with caplog.at_level(logging.WARNING), opened_bundle(path, trust=True) as opened:
        assert not opened.is_data
        assert contents(opened.root) == contents(folder)
        assert (opened.root == folder) == (prefix is None)
    told = said.split("\n", 1)[1].split("\n  mend")[0]
    assert [record.message for record in caplog.records] == [
        f"{path} runs code that is not ours; you trust it with:\n{told}"
    ]
    assert list(temporary.iterdir()) == []


def test_what_is_refused_stays_refused_with_trust(tmp_path):
    path = write(tmp_path / "bundle", with_value("$__import__('os').system('x')"))
    for trust in (False, True):
        with pytest.raises(BundleTrustError) as refused, opened_bundle(path, trust):
            pass
        assert "bundle is refused: it is dangerous or malformed\n  configs/inference.json:1  an expression" in str(
            refused.value
        )
        assert "--trust" not in str(refused.value)


def test_what_is_no_bundle(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "text").write_text("x")
    for path, text in ((tmp_path / "none", "there is no"), (tmp_path / "pictures", "is no bundle: it has no configs/")):
        with pytest.raises(NoBundleError, match=rf"{text}(?s:.*)\n  mend   name the folder of a bundle"):
            opened_bundle(path).__enter__()
    with pytest.raises(NoBundleError, match="is no bundle"):
        opened_bundle(zipped(tmp_path / "a.zip", [("README.md", b"x")]), trust=True).__enter__()
    with pytest.raises(BundleTrustError, match="neither a folder nor a ZIP"):
        opened_bundle(tmp_path / "text", trust=True).__enter__()


def test_texts_of_a_stranger_command_no_terminal(tmp_path):
    path = zipped(tmp_path / "a.zip", [("configs/\x1b[2J\u202e.json", b"{}"), *files().items()])
    with pytest.raises(BundleTrustError) as refused, opened_bundle(path):
        pass
    assert "configs/?[2J?.json" in str(refused.value)


# --- nothing but what was sent


def changed_bytes(content: bytes) -> range:
    return range(0, len(content), max(1, len(content) // 300))


@pytest.mark.parametrize("name", [*files(), "manifest.json"])
def test_each_changed_byte_of_a_file_is_refused(name, tmp_path):
    folder = write(tmp_path / "bundle")
    whole = (folder / name).read_bytes()
    for place in changed_bytes(whole):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        (folder / name).write_bytes(changed)
        with pytest.raises(BundleTrustError, match="mend   do not use it"), opened_bundle(folder):
            pytest.fail(f"byte {place} was changed unnoticed")


def test_each_changed_byte_of_an_archive_is_refused_or_changes_no_file(tmp_path, temporary):
    folder = write(tmp_path / "bundle")
    path, expected = archive_of(folder), contents(folder)
    whole = path.read_bytes()
    harmless = 0
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            with opened_bundle(path) as opened:
                assert contents(opened.root) == expected, place
                harmless += 1
        except REFUSALS:
            pass
        assert list(temporary.iterdir()) == []
    assert harmless < len(whole) / 6  # times, rights, and the second copy of each header


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_an_archive_is_refused_or_changes_no_file(data, tmp_path):
    folder = tmp_path / "bundle"
    path, expected = archive_of(folder if folder.exists() else write(folder)), contents(folder)
    whole = path.read_bytes()
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 40)))
    path.write_bytes(whole[:begin] + data.draw(st.binary(max_size=40)) + whole[end:])
    try:
        with opened_bundle(path) as opened:
            assert contents(opened.root) == expected
    except REFUSALS:
        pass


def replaced(name: str, other: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: (folder / "docs" / "new.md").write_bytes(b""), "docs/new.md  was not sent"),
        (lambda folder: (folder / "model.pem").write_bytes(b""), "model.pem  "),
        (lambda folder: (folder / "LICENSE").unlink(), "LICENSE  is missing"),
        (replaced("LICENSE", "NOTICE"), "NOTICE  was not sent"),
        (replaced("docs/README.md", "docs/readme.md"), "docs/README.md  is missing"),
        (replaced("docs", "text"), "text/README.md  was not sent"),
    ],
    ids=["added", "added as a signature", "removed", "renamed", "other case", "other folder"],
)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "archive"])
def test_files_added_removed_or_renamed_are_refused(change, text, as_zip, tmp_path):
    folder = write(tmp_path / "bundle")
    change(folder)
    for trust in (False, True):
        with (
            pytest.raises(BundleTrustError, match=re.escape(text)),
            opened_bundle(archive_of(folder) if as_zip else folder, trust),
        ):
            pass


@pytest.mark.parametrize(
    ("as_zip", "trust"),  # a trusted folder is used where it lies
    [(False, False), (True, False), (True, True)],
    ids=["folder", "archive", "trusted archive"],
)
def test_a_change_between_the_audit_and_the_copy_is_refused(as_zip, trust, tmp_path, temporary, monkeypatch):
    """What is opened is another bundle, as sound by itself as the one that was looked at."""
    one = write(tmp_path / "one", with_value("$1 + 1") if trust else None)
    other = write(tmp_path / "other", with_value("$2 + 2") if trust else {"LICENSE": b"CC1"})
    path, late = (archive_of(one), archive_of(other)) if as_zip else (one, other)
    unpack = opening.unpack

    def swapping(source: Path, folder: Path) -> None:
        unpack(late, folder)

    monkeypatch.setattr(opening, "unpack", swapping)
    with pytest.raises(BundleTrustError, match=r"changed while it was opened\n  (LICENSE|configs)"):
        opened_bundle(path, trust).__enter__()
    assert list(temporary.iterdir()) == []


# --- the command


def test_predict_names_the_option(tmp_path):
    copy = shutil.copytree(MEMBRANE, tmp_path / "copy")
    done = CliRunner().invoke(app, ["predict", str(copy), str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    said = done.output + done.stderr
    assert "error: " in said
    assert "if you trust who made it, add --trust" in said
    assert not (tmp_path / "out").exists()
