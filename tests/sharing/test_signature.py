"""Signatures: made and checked with a fresh key pair; what was changed, added or signed by another is refused."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest
from safe_bundle import write, zipped
from typer.testing import CliRunner

from monai_seg.cli import app
from monai_seg.sharing import signature
from monai_seg.sharing.audit import Verdict, audit
from monai_seg.sharing.signature import FILE, SignatureError, signing_by, verify_signature

try:
    importlib.import_module("model_signing.signing")
    MISSING = ""
except ImportError as missing:
    MISSING = f"model-signing is not installed ({missing}): pip install monai-seg[signing]"
needs_package = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def key_pair(folder: Path, password: bytes = b"") -> tuple[Path, Path]:
    """Files of a fresh private key and of its public half."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    guard = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / "private.pem", folder / "public.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, guard))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def signed(tmp_path):
    """Folder of a signed bundle, and the public key."""
    private, public = key_pair(tmp_path / "keys")
    folder = write(tmp_path / "bundle")
    signing_by(private)(folder)
    return folder, public


@needs_package
def test_a_signed_folder_fits_its_key_wherever_it_lies(signed, tmp_path):
    folder, public = signed
    verify_signature(folder, public)
    verify_signature(Path(shutil.copytree(folder, tmp_path / "elsewhere" / "under another name")), public)


@needs_package
def test_the_signature_is_one_of_the_librarys_own(signed):
    """Whoever has the library alone can check it, by its defaults."""
    folder, public = signed
    verifying = importlib.import_module("model_signing.verifying")
    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(folder, folder / FILE)


@needs_package
def test_a_signature_leaves_data_alone_what_it_is(signed):
    report = audit(signed[0])
    assert report.verdict == Verdict.DATA_ONLY
    assert report.signature == [FILE]


@needs_package
@pytest.mark.parametrize("file", ["LICENSE", "configs/inference.json", "models/model.safetensors", "manifest.json"])
def test_each_changed_file_is_refused(signed, file):
    folder, public = signed
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    with pytest.raises(SignatureError, match=r"is not what the owner of .*public\.pem signed\n  found  .*" + file):
        verify_signature(folder, public)


@needs_package
@pytest.mark.parametrize("file", ["docs/more.md", ".gitattributes", "manifest.json.sig"])
def test_a_file_that_was_not_signed_is_refused(signed, file):
    folder, public = signed
    (folder / file).write_bytes(b"x")
    with pytest.raises(SignatureError, match="Extra files"):
        verify_signature(folder, public)


@needs_package
def test_a_missing_file_is_refused(signed):
    folder, public = signed
    (folder / "LICENSE").unlink()
    with pytest.raises(SignatureError, match="Missing files"):
        verify_signature(folder, public)


@needs_package
def test_somebody_elses_signature_is_refused(signed, tmp_path):
    folder, public = signed
    signing_by(key_pair(tmp_path / "other")[0])(folder)
    with pytest.raises(SignatureError, match="is not what the owner of"):
        verify_signature(folder, public)


@needs_package
@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON", b"\xff\xfe", b"[1]"])
def test_a_broken_signature_is_refused(signed, content):
    folder, public = signed
    (folder / FILE).write_bytes(content)
    with pytest.raises(SignatureError, match="is not what the owner of"):
        verify_signature(folder, public)


@needs_package
def test_each_changed_part_of_a_signature_is_refused(signed):
    folder, public = signed
    whole = json.loads((folder / FILE).read_text())
    for key in ("payload", "signatures"):
        part = json.loads(json.dumps(whole))
        envelope = part["dsseEnvelope"]
        text = envelope[key] if key == "payload" else envelope[key][0]["sig"]
        changed = ("A" if text[20] != "A" else "B").join([text[:20], text[21:]])
        if key == "payload":
            envelope[key] = changed
        else:
            envelope[key][0]["sig"] = changed
        (folder / FILE).write_text(json.dumps(part))
        with pytest.raises(SignatureError, match="is not what the owner of"):
            verify_signature(folder, public)


@needs_package
def test_a_bundle_without_a_signature_is_refused(tmp_path):
    _, public = key_pair(tmp_path / "keys")
    with pytest.raises(SignatureError, match=r"bundle is not signed: it holds no model\.sig\n  mend   ask for"):
        verify_signature(write(tmp_path / "bundle"), public)


@needs_package
def test_a_file_that_is_no_key_is_refused_before_anything_is_signed(tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("no key")
    guarded, _ = key_pair(tmp_path / "guarded", password=b"secret")
    for file in (text, tmp_path / "none.pem", guarded):
        with pytest.raises(SignatureError, match=r"is no private key that can be used\n  expected  a PEM file"):
            signing_by(file)


@needs_package
def test_the_command_refuses_what_the_key_did_not_sign(signed, tmp_path):
    """What fits goes on to the sample, which this bundle has none of."""
    folder, public = signed
    members = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    fits = CliRunner().invoke(app, ["verify", str(zipped(tmp_path / "a.zip", members)), "--key", str(public)])
    assert f"signed with the private half of {public}" in fits.output
    _, other = key_pair(tmp_path / "other")
    unsigned = [member for member in members if member[0] != FILE]
    for content, key, text in ((members, other, "is not what the owner of"), (unsigned, public, "is not signed")):
        refused = CliRunner().invoke(app, ["verify", str(zipped(tmp_path / "b.zip", content)), "--key", str(key)])
        assert refused.exit_code == 2
        assert text in refused.output + refused.stderr
        assert "signed with" not in refused.output


def test_without_the_package_the_text_says_what_to_install(tmp_path, monkeypatch):
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    for use in (lambda: signing_by(tmp_path / "k.pem"), lambda: verify_signature(tmp_path, tmp_path / "k.pem")):
        with pytest.raises(SignatureError, match=r"mend   pip install monai-seg\[signing\]"):
            use()
    assert signature.FILE == FILE
