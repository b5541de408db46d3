"""Two folders of predictions, compared: those that came with a bundle, and those that it makes here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

_DIFFERING = 1e-3  # share of pixels, and difference of probabilities, that another processor may make
_PIXELS = 0.5  # that an edge of a box may lie elsewhere


class SelfTestError(ValueError):
    """A bundle does not predict its sample as it did where it was made."""


def compare_predictions(expected: Path, found: Path) -> list[str]:
    """Compare two folders of predictions.

    Returns:
        What was compared, one line for each file.

    Raises:
        SelfTestError: a file is missing, or says something else.
    """
    told = []
    for path in sorted(path for path in expected.rglob("*") if path.is_file()):
        name = path.relative_to(expected)
        if not (found / name).is_file():
            raise SelfTestError(f"there is no prediction {name}")
        compare = {".json": _compare_objects, ".csv": _compare_classes}.get(path.suffix, _compare_label_maps)
        told.append(f"{name}: {compare(path, found / name)}")
    if not told:
        raise SelfTestError(f"{expected} holds no prediction to compare with")
    return told


def _compare_label_maps(expected: Path, found: Path) -> str:
    one, two = (_array(path) for path in (expected, found))
    if one.shape != two.shape:
        raise SelfTestError(f"{found.name} has shape {two.shape}, expected {one.shape}")
    differing = int(np.count_nonzero(one != two))
    if differing > _DIFFERING * one.size:
        raise SelfTestError(f"{found.name}: {differing:,} of {one.size:,} pixels differ")
    return f"{differing:,} of {one.size:,} pixels differ"


def _compare_classes(expected: Path, found: Path) -> str:
    tables = []
    for path in (expected, found):
        with path.open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    one, two = tables
    if len(one) != len(two):
        raise SelfTestError(f"{found.name}: {len(two)} images, expected {len(one)}")
    if one and list(one[0]) != list(two[0]):
        raise SelfTestError(f"{found.name}: columns {', '.join(two[0])}, expected {', '.join(one[0])}")
    largest = 0.0
    for told, given in zip(one, two, strict=True):
        columns = [name for name in told if name.startswith("probability_")]
        largest = max([largest, *(abs(float(told[name]) - float(given[name])) for name in columns)])
    if largest > _DIFFERING:
        raise SelfTestError(f"{found.name}: a probability differs by {largest:.4f}")
    return f"probabilities differ by {largest:.1g} at most"


def _compare_objects(expected: Path, found: Path) -> str:
    one, two = (json.loads(path.read_text(encoding="utf-8"))["annotations"] for path in (expected, found))
    if len(one) != len(two):
        raise SelfTestError(f"{found.name}: {len(two)} objects, expected {len(one)}")
    for number, (a, b) in enumerate(zip(one, two, strict=True), start=1):
        if a["category_id"] != b["category_id"]:
            raise SelfTestError(
                f"{found.name}: object {number} is of category {b['category_id']}, expected {a['category_id']}"
            )
        if abs(a["score"] - b["score"]) > _DIFFERING:
            raise SelfTestError(f"{found.name}: a score differs by {abs(a['score'] - b['score']):.4f}")
    edges = [np.abs(np.subtract(a["bbox"], b["bbox"])).max() for a, b in zip(one, two, strict=True)]
    if edges and max(edges) > _PIXELS:
        raise SelfTestError(f"{found.name}: an edge lies {max(edges):.1f} pixels elsewhere")
    return f"{len(one)} objects, edges differ by {max(edges, default=0.0):.1g} pixels at most"


def _array(path: Path) -> np.ndarray:
    if path.name.endswith(".nii.gz"):
        import nibabel as nib

        volume: Any = nib.load(path)
        return np.asarray(volume.dataobj)
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture)
