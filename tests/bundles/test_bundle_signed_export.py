"""A signed export on its way: the run is exported with a key, and verified by its public half at the other end."""

from __future__ import annotations

import importlib
import shutil
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_seg.cli import app

pytest.importorskip(
    "model_signing.signing", reason="pip install monai-seg[signing]", exc_type=ImportError
)  # without pyOpenSSL it is there, and fails


def key_pair(folder: Path) -> tuple[Path, Path]:
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    curves = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
    folder.mkdir()
    key, pem = curves.generate_private_key(curves.SECP256R1()), serialization.Encoding.PEM
    form, guard = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(pem, form, guard))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.mark.slow
def test_an_export_is_signed_and_verified(membrane, finished_runs, tmp_path):
    private, public = key_pair(tmp_path / "keys")
    _, other = key_pair(tmp_path / "other")
    archive, hub = tmp_path / "signed.zip", tmp_path / "hub"
    sample = sorted((membrane.data / "images").iterdir())[0]
    run = finished_runs(membrane).path
    arguments = [str(membrane.root), "--run", str(run), "-o", str(archive), "--sample", str(sample)]
    done = CliRunner().invoke(app, ["export", *arguments, "--sign", str(private), "--to-hub", str(hub)])
    assert done.exit_code == 0, done.output + done.stderr
    with zipfile.ZipFile(archive) as content:
        assert "model.sig" in content.namelist()
    for place in (archive, hub):
        fits = CliRunner().invoke(app, ["verify", str(place), "--key", str(public)])
        assert fits.exit_code == 0, fits.output + fits.stderr
        assert "signed with the private half of" in fits.output
        assert "it predicts here as it did where it was made" in fits.output
    refused = CliRunner().invoke(app, ["verify", str(archive), "--key", str(other)])
    assert refused.exit_code == 2
    assert "is not what the owner of" in refused.output + refused.stderr
    shutil.move(hub / "model.sig", tmp_path / "model.sig")
    unsigned = CliRunner().invoke(app, ["verify", str(hub), "--key", str(public)])
    assert unsigned.exit_code == 2
    assert "is not signed" in unsigned.output + unsigned.stderr
