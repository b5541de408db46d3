"""``model.sig``: a signature by a key pair, so that what arrives is whole, and from whom it is said to be from.

The library model-signing does it (OpenSSF Model Signing): the signature is over the SHA-256 of every file of a folder,
``manifest.json`` among them, by a key on an elliptic curve. Nothing is sent anywhere: no service, no certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "model.sig"
_MAKE_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out KEY.pem"
_TAKE_PUBLIC = "openssl ec -in KEY.pem -pubout -out PUBLIC.pem"


class SignatureError(ValueError):
    """A bundle cannot be signed, is not signed, or not by the key that is named; the text says which."""


def signing_by(private_key: Path) -> Callable[[Path], None]:
    """What signs a folder, with the key read at once: nobody waits for an export that cannot be signed.

    Args:
        private_key: PEM file of a key on an elliptic curve, without a password.

    Returns:
        A function that writes ``model.sig`` of all files of a folder into it.

    Raises:
        SignatureError: the package is not installed, or the file is no such key.
    """
    signing, hashing = _package("signing"), _package("hashing")
    try:
        configuration = signing.Config().use_elliptic_key_signer(private_key=private_key, password=None)
    except (ValueError, TypeError, OSError, AttributeError) as error:
        raise _no_key("private", private_key, error) from error
    configuration.set_hashing_config(_all_files_but_the_signature(hashing))
    return lambda folder: configuration.sign(folder, folder / FILE)


def verify_signature(folder: Path, public_key: Path) -> None:
    """Compare a folder with its signature.

    Args:
        folder: of the bundle.
        public_key: PEM file of the public half of the key that must have signed it.

    Raises:
        SignatureError: the package is not installed, the file is no such key, there is no signature, it is of another
            key, or a file is missing, changed, or was not signed.
    """
    verifying, hashing = _package("verifying"), _package("hashing")
    if not (folder / FILE).is_file():
        raise SignatureError(
            f"{folder.name} is not signed: it holds no {FILE}\n"
            "  mend   ask for an export made with `monai-seg export --sign KEY.pem`"
        )
    try:
        configuration = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (ValueError, TypeError, OSError, AttributeError) as error:
        raise _no_key("public", public_key, error) from error
    configuration.set_hashing_config(_all_files_but_the_signature(hashing))
    try:
        configuration.verify(folder, folder / FILE)
    except Exception as error:  # a stranger's file may break its reader in any way; none of them is a signature
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise SignatureError(
            f"{folder.name} is not what the owner of {public_key} signed\n  found  {reason[0][:200]}\n"
            "  mend   fetch it again from its source, or ask the source for the right key; do not use it as it is"
        ) from error


def _all_files_but_the_signature(hashing: Any) -> Any:
    return hashing.Config().set_ignored_paths(paths=[FILE], ignore_git_paths=False)


def _no_key(kind: str, path: Path, error: Exception) -> SignatureError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return SignatureError(
        f"{path} is no {kind} key that can be used\n"
        f"  expected  a PEM file of a {kind} key on an elliptic curve, without a password\n"
        f"  found     {reason}\n  mend      {_MAKE_KEY}; {_TAKE_PUBLIC}"
    )


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{name}")
    except ImportError as error:
        raise SignatureError(
            f"signatures need the package model-signing: {error}\n  mend   pip install monai-seg[signing]"
        ) from error
