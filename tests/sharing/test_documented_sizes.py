"""Sizes in the metadata of an export are those that its program takes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from monai_seg.networks import ResNet50UNet
from monai_seg.sharing.export.documented_sizes import document_sizes
from monai_seg.sharing.export.network_program import exported_program


def program_for(smallest: int) -> Any:
    """A program that refuses images smaller than that, as those of torch.export do."""

    def run(image: torch.Tensor) -> torch.Tensor:
        if min(image.shape[2:]) < smallest:
            raise AssertionError("Guard failed")
        return image

    return SimpleNamespace(module=lambda: run)


def documented(folder: Path, told: list[Any], program: Any, example: torch.Tensor, is_free: bool) -> list[list[Any]]:
    """What the metadata say afterwards of the input, and of outputs of its size and of another one."""
    file = folder / "metadata.json"
    outputs = {"pred": {"spatial_shape": told}, "scores": {"spatial_shape": [1]}}
    file.write_text(
        json.dumps({"network_data_format": {"inputs": {"image": {"spatial_shape": told}}, "outputs": outputs}})
    )
    document_sizes(file, program, example, is_free)
    found = json.loads(file.read_text())["network_data_format"]
    return [found["inputs"]["image"]["spatial_shape"], *(each["spatial_shape"] for each in found["outputs"].values())]


@pytest.mark.parametrize(
    ("told", "smallest", "expected"),
    [
        (["16*n", "16*n"], 16, ["16*n", "16*n"]),
        (["16*n", "16*n"], 32, ["32*n", "32*n"]),
        (["n", "n"], 33, ["64*n", "64*n"]),
        (["n", "n"], 1, ["n", "n"]),
        (["n", "n"], 1000, [64, 64]),
    ],
    ids=["as told", "larger", "of any size", "any size", "none that was tried"],
)
def test_the_smallest_size_that_the_program_takes_is_told(told, smallest, expected, tmp_path):
    example = torch.zeros(1, 1, 64, 64)
    found = documented(tmp_path, told, program_for(smallest), example, is_free=True)
    assert found == [expected, expected, [1]]


def test_a_program_of_one_size_tells_it(tmp_path):
    example = torch.zeros(1, 1, 64, 48, 32)
    found = documented(tmp_path, ["32*n"] * 3, program_for(1), example, is_free=False)
    assert found == [[64, 48, 32], [64, 48, 32], [1]]


@pytest.mark.slow
def test_what_is_told_of_a_real_program_holds(tmp_path):
    network = ResNet50UNet(3, 1, encoder="resnet18", decoder_channels=[16, 16, 8, 8, 8]).eval()
    program, is_free = exported_program(network, torch.rand(1, 3, 64, 64))
    (size, other), *_ = documented(tmp_path, ["n", "n"], program, torch.zeros(1, 3, 64, 64), is_free)
    assert size == other
    smallest = int(size.partition("*")[0])
    image = torch.rand(1, 3, smallest, 3 * smallest)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), network(image))
        with pytest.raises(AssertionError, match="Guard failed"):
            program.module()(image[..., : smallest // 2, : smallest // 2])
