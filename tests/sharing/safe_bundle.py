"""A bundle of data alone, small enough to be written for each test, and what can be changed in it."""

from __future__ import annotations

import copy
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

from monai_seg.sharing.manifest import write_manifest

CONFIGURATION: dict[str, Any] = {
    "network_def": {
        "_target_": "monai.networks.nets.BasicUNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
    },
    "preprocessing": {
        "_target_": "monai.transforms.Compose",
        "transforms": [
            {"_target_": "monai.transforms.LoadImaged", "keys": "image", "reader": "PILReader"},
            {"_target_": "monai.transforms.ScaleIntensityd", "keys": ["image"], "minv": 0.0, "maxv": 1.0},
        ],
    },
    "inferer": {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": [64, 64], "overlap": 0.25},
}


def safetensors(values: bytes = b"\x00" * 8, **header: Any) -> bytes:
    content = {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, **header}
    text = json.dumps({key: value for key, value in content.items() if value is not None}).encode()
    return struct.pack("<Q", len(text)) + text + values


def files() -> dict[str, bytes]:
    return {
        "LICENSE": b"CC0",
        "configs/inference.json": json.dumps(CONFIGURATION).encode(),
        "configs/metadata.json": json.dumps({"version": "0.1.0", "task": "cells", "labels": {"0": "none"}}).encode(),
        "docs/README.md": b"# Cells\n",
        "models/model.safetensors": safetensors(),
    }


def write(folder: Path, changed: dict[str, bytes | None] | None = None, manifest: bool = True) -> Path:
    """The bundle in a folder, with files that are added, replaced, or (None) left out before the manifest is made."""
    for name, content in (files() | (changed or {})).items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if manifest:
        write_manifest(folder)
    return folder


def with_value(value: Any, place: int = 0) -> dict[str, bytes]:
    """The configuration with a value in one of several places."""
    content = copy.deepcopy(CONFIGURATION)
    if place == 0:
        content["device"] = value
    elif place == 1:
        content["preprocessing"]["transforms"].append(value)
    elif place == 2:
        content["inferer"]["overlap"] = {"deep": [[{"deeper": value}]]}
    else:
        content["metadata"] = {"values": [1, "two", value]}
    return {"configs/inference.json": json.dumps(content).encode()}


def zipped(path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path
