"""The sizes of images in ``metadata.json``, made true of a program, which may take fewer than the network does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from monai_seg.sharing.export.safe_form import write_json


def document_sizes(metadata_file: Path, program: Any, example: torch.Tensor, is_free: bool) -> None:
    """Tell the sizes that a program takes, in the input and in an output of the same size.

    ``torch.export`` keeps what held for its example: a network that takes multiples of 16 may come out as a program
    that needs 32 at least. Whoever tries the smallest size that the metadata allow, as the Model Zoo's CI does, is
    told the truth: a multiple that was tried, or the one size of the example.

    Args:
        metadata_file: of the bundle; changed where what it says does not hold.
        program: of ``torch.export``.
        example: that the program was made with, ``(B, C, H, W[, D])``.
        is_free: images of other sizes may come.
    """
    metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
    told = metadata["network_data_format"]
    image = told["inputs"]["image"]
    before = image["spatial_shape"]
    image["spatial_shape"] = _sizes(before, program, example) if is_free else list(example.shape[2:])
    for output in told["outputs"].values():
        if output["spatial_shape"] == before:
            output["spatial_shape"] = image["spatial_shape"]
    write_json(metadata_file, metadata)


def _sizes(told: list[Any], program: Any, example: torch.Tensor) -> list[Any]:
    factor = max(_factor(size) for size in told)
    run = program.module()
    begin = factor
    while factor <= 2 * max(example.shape[2:]):
        axes = example.ndim - 2
        sizes = [(factor,) * axes, (2 * factor,) * axes, (factor, *(2 * factor,) * (axes - 1))]
        if all(_takes(run, example.new_zeros(1, example.shape[1], *size)) for size in sizes):
            return told if factor == begin else [f"{factor}*n"] * axes
        factor *= 2
    return list(example.shape[2:])


def _factor(size: Any) -> int:
    """16 of ``"16*n"`` and of 16, 1 of ``"n"``: the smallest size that is told."""
    match = re.match(r"\d+", str(size))
    return int(match[0]) if match else 1


def _takes(run: Any, image: torch.Tensor) -> bool:
    try:
        with torch.no_grad():
            run(image)
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True
