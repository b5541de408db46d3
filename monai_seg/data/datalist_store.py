"""The datalist: sections written to a JSON file in MONAI's form, with what is needed to make and to verify them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_seg.data.atomic import write_text_atomic
from monai_seg.data.fault import DataError
from monai_seg.data.layouts import Record, datalist_file
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import SECTIONS

_PATH_KEYS = ("image", "label")


def write_datalist(
    path: str | os.PathLike[str],
    sections: Mapping[str, Sequence[Record]],
    dataset_dir: str | os.PathLike[str],
    *others: str | os.PathLike[str],
    seed: int | None = None,
    fold: int | None = None,
    folds: int | None = None,
    group_by: str | None = None,
    shares: Sequence[float] | None = None,
) -> None:
    """Write sections as a MONAI datalist, whole or not at all.

    Args:
        path: the JSON file.
        sections: records with absolute paths by section.
        dataset_dir: folder that the written paths are relative to; for a JSON datalist, the folder of its data.
        others: further data sets in the same sections; written paths are then relative to the folder that holds all.
        seed: that made the sections, for the record.
        fold: as `seed`.
        folds: as `seed`.
        group_by: as `seed`.
        shares: as `seed`.
    """
    root = Path(os.path.commonpath([_data_folder(place) for place in (dataset_dir, *others)]))
    folder = Path(os.path.abspath(path)).parent
    # A list that lies in or above its data may move with them; elsewhere only the full path finds the data again.
    moves_along = root.is_relative_to(folder) or folder.is_relative_to(root)
    content: dict[str, Any] = {
        "dataset_dir": relative(root, folder) if moves_along else str(root),
        "seed": seed,
        "fold": fold,
        "folds": folds,
        "group_by": group_by,
        "shares": None if shares is None else list(shares),
    }
    for name in SECTIONS:
        content[name] = [_portable(record, root) for record in sections.get(name, [])]
    write_text_atomic(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_datalist(path: str | os.PathLike[str]) -> dict[str, list[Record]]:
    """Read the sections that a datalist lists, as they stand; nothing is split.

    Args:
        path: the JSON file.

    Returns:
        Records with absolute paths under "training", "validation" and "test".

    Raises:
        LayoutError: the file is no datalist.
        DataError: a listed file is missing.
    """
    listing = datalist_file.LAYOUT.read(Path(os.path.abspath(path)))
    if listing.faults:
        raise DataError(listing.faults, str(path))
    return {name: listing.sections.get(name, []) for name in SECTIONS}


def data_hash(sections: Mapping[str, Iterable[Record]]) -> str:
    """One SHA-256 over names and contents of all images and labels, whichever section they are in.

    Names are relative to the deepest folder that holds all files, so that moved data keep their hash.
    """
    records = [record for part in sections.values() for record in part]
    files = sorted({file for record in records for key in _PATH_KEYS for file in _files(record.get(key))})
    root = Path(os.path.commonpath([os.path.dirname(file) for file in files])) if files else Path()
    lines = sorted(f"{relative(file, root)} {_file_hash(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def image_hash(record: Record) -> str:
    """The ``sha256`` of a record, read from its image or from all of its channels."""
    return record_hash([_file_hash(file) for file in _files(record["image"])])


def record_hash(file_hashes: Sequence[str]) -> str:
    """The ``sha256`` of a record: that of its image, or one over those of its channels."""
    return file_hashes[0] if len(file_hashes) == 1 else hashlib.sha256("".join(file_hashes).encode()).hexdigest()


def _portable(record: Record, root: Path) -> Record:
    written = dict(record)
    for key in _PATH_KEYS:
        if isinstance(record.get(key), list):
            written[key] = [relative(path, root) for path in record[key]]
        elif isinstance(record.get(key), str):
            written[key] = relative(record[key], root)
    return written | {"sha256": image_hash(record)}


def _data_folder(dataset_dir: str | os.PathLike[str]) -> Path:
    path = Path(os.path.abspath(dataset_dir))
    return datalist_file.LAYOUT.read(path).root if path.is_file() else path


def _files(value: Any) -> list[str]:
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    return [value] if isinstance(value, str) else []


def _file_hash(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
