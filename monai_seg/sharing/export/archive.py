"""A folder as one ZIP whose bytes depend on its files alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

from monai_seg.data.atomic import atomic_path

_BEGINNING = (1980, 1, 1, 0, 0, 0)  # of time, for ZIP
_PLAIN_FILE = 0o100644 << 16


def write_archive(folder: Path, archive: Path) -> None:
    """Write all files of a folder into a ZIP, whole or not at all.

    Nothing is compressed: weights cannot be, and the bytes of a compressor differ from version to version.

    Args:
        folder: whose files lie at the top of the archive.
        archive: the ZIP.
    """
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _BEGINNING)
            info.external_attr = _PLAIN_FILE
            info.create_system = 3  # Unix, on every machine
            with target.open(info, "w", force_zip64=False) as member, path.open("rb") as source:
                while part := source.read(1 << 20):
                    member.write(part)
