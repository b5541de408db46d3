"""``manifest.json``: the SHA-256 of every file of a bundle, so that what arrives is what was sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

FILE = "manifest.json"
FORMAT = "monai-seg-manifest-1"
_CHUNK = 1 << 20


class ManifestError(ValueError):
    """The files of a bundle are not those of its manifest; the text names each."""


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` of all files in a folder, in the order of their names.

    Args:
        folder: of the bundle; a manifest that is there is replaced.
    """
    from monai_seg.data.atomic import write_text_atomic

    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != FILE:
            with path.open("rb") as file:
                files[name] = (digest(file), path.stat().st_size)
    write_text_atomic(folder / FILE, _text(files))


def verify_manifest(folder: Path) -> None:
    """Compare the files of a folder with its manifest.

    Args:
        folder: of the bundle.

    Raises:
        ManifestError: there is no manifest or it cannot be read, or a file is missing, changed, or was not sent.
    """
    path = folder / FILE
    if not path.is_file():
        raise ManifestError(f"{folder} holds no {FILE}\n  mend   ask for a bundle that `monai-seg export` has written")
    names = [each.relative_to(folder).as_posix() for each in folder.rglob("*") if not each.is_dir()]
    problems = differences(path.read_bytes(), names, lambda name: (folder / name).open("rb"))
    if problems:
        lines = "\n".join(f"  {name}  {problem}" for name, problem in problems)
        raise ManifestError(f"{folder} is not what was sent\n{lines}\n  mend   fetch it again from its source")


def differences(
    manifest: bytes, names: Iterable[str], opened: Callable[[str], AbstractContextManager[IO[bytes]]]
) -> list[tuple[str, str]]:
    """What is wrong with the files of a bundle, by its manifest.

    Args:
        manifest: content of ``manifest.json``.
        names: of all files, with ``/``.
        opened: gives a file by its name.

    Returns:
        Name and problem of each file that is missing, changed, or not in the manifest.
    """
    try:
        listed = _listed(json.loads(manifest))
    except (ValueError, RecursionError) as error:
        return [(FILE, f"cannot be read: {error}")]
    if manifest != _text(listed).encode():
        return [(FILE, "was changed: it is not as `monai-seg` writes it, to the byte")]
    found = set(names) - {FILE}
    problems = [(name, "is missing") for name in sorted(listed.keys() - found)]
    problems += [(name, "was not sent") for name in sorted(found - listed.keys())]
    for name in sorted(found & listed.keys()):
        with opened(name) as file:
            if (digest(file), file.tell()) != listed[name]:
                problems.append((name, "was changed"))
    return problems


def digest(file: IO[bytes]) -> str:
    """SHA-256 of what is left in a file, in hexadecimal digits."""
    sum_ = hashlib.sha256()
    while part := file.read(_CHUNK):
        sum_.update(part)
    return sum_.hexdigest()


def _text(files: Mapping[str, tuple[str, int]]) -> str:
    """The one way to write down SHA-256 and size of each file."""
    entries = {name: {"sha256": sum_, "size": size} for name, (sum_, size) in files.items()}
    return json.dumps({"format": FORMAT, "files": entries}, indent=1, sort_keys=True) + "\n"


def _listed(content: Any) -> dict[str, tuple[str, int]]:
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("files"), dict):
        raise ValueError(f"it is not of the format {FORMAT}")
    listed = {}
    for name, entry in content["files"].items():
        sum_, size = (entry.get("sha256"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not isinstance(sum_, str) or not isinstance(size, int):
            raise ValueError(f"{name} has no sha256, or no size")
        listed[name] = (sum_, size)
    return listed
