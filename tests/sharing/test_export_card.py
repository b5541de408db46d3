"""Metadata and model card of an export: true of the run, of the machine only what may be known."""

from __future__ import annotations

import copy
import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from monai_seg.sharing.export.completed_metadata import completed_metadata
from monai_seg.sharing.export.model_card import model_card

REPOSITORY = Path(__file__).parents[2]
BUNDLE = REPOSITORY / "bundles" / "membrane_em_segmentation"
ENVIRONMENT = {
    "sessions": [
        {"packages": {"monai": "1.0.0"}, "device_name": "an old one"},
        {
            "packages": {"monai": "9.9.9", "torch": "8.8.8"},
            "device_name": "a new one",
            "time": "2026-01-02T03:04:05+00:00",
            "git_revision": "0123abcd",
            "command_line": "python /home/somebody/secret.py",
            "data_hash": "f00d",
        },
    ]
}
SECTIONS = {
    "dataset_dir": "/home/somebody/patients",
    "training": [{}] * 5,
    "validation": [{}],
    "test": [{}] * 2,
    "seed": 7,
}
SUMMARY = {
    "dice": {
        "membrane": {"mean": 0.81249, "ci_low": 0.7, "ci_high": 0.9001, "n": 2},
        "mean": {"mean": 0.81249, "ci_low": 0.7, "ci_high": 0.9001, "n": 2},
    },
    "hd95": {"membrane": {"mean": None, "ci_low": None, "ci_high": None, "n": 0}, "mean": {"mean": None}},
}


def trained(channels: int = 1, names: tuple[str, ...] = ("membrane",), is_run: bool = True, **tables: Any) -> Any:
    """What is exported, as far as metadata and card ask."""
    files = {"environment.json": ENVIRONMENT, "datalist.json": SECTIONS} if is_run else {}
    return SimpleNamespace(
        name=BUNDLE.name,
        bundle=BUNDLE,
        metadata=json.loads((BUNDLE / "configs" / "metadata.json").read_text()),
        network=torch.nn.Conv2d(1, channels, 1),
        components={"network_def": {"_target_": "monai.networks.nets.BasicUNet"}},
        class_names=list(names),
        workflow=SimpleNamespace(gives="image", in_channels=1, spatial_dims=2, device="cpu"),
        of_run=lambda name: files.get(name, {}),
        measured=lambda: tables,
    )


def test_versions_are_those_of_the_run_and_else_those_that_are_installed():
    found = completed_metadata(trained(), "safe")
    assert (found["monai_version"], found["pytorch_version"]) == ("9.9.9", "8.8.8")
    assert found["numpy_version"] == version("numpy")
    without = completed_metadata(trained(is_run=False), "safe")
    assert (without["monai_version"], without["pytorch_version"]) == (version("monai"), version("torch"))
    assert "trained" not in without


def test_the_run_is_told_without_its_folders():
    found = completed_metadata(trained(), "safe")
    assert found["trained"] == {
        "time": "2026-01-02T03:04:05+00:00", "git_revision": "0123abcd", "device_name": "a new one",
        "data_hash": "f00d", "cases": {"training": 5, "validation": 1, "test": 2}, "seed": 7, "fold": None,
    }  # fmt: skip
    assert "somebody" not in json.dumps(found)


def test_channels_are_those_that_the_network_of_the_run_gives():
    told = completed_metadata(trained(), "safe")["network_data_format"]["outputs"]["pred"]
    own = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    assert told == own
    several = completed_metadata(trained(2, ("wall", "pore")), "safe")["network_data_format"]["outputs"]["pred"]
    assert (several["num_channels"], several["channel_def"]) == (2, {"0": "wall", "1": "pore"})
    exclusive = completed_metadata(trained(3, ("wall", "pore")), "safe")["network_data_format"]["outputs"]["pred"]
    assert exclusive["channel_def"] == {"0": "background", "1": "wall", "2": "pore"}


def test_only_the_safe_form_requires_our_package():
    assert "monai-seg" in completed_metadata(trained(), "safe")["required_packages_version"]
    packages = completed_metadata(trained(), "portable")["required_packages_version"]
    assert not {"monai-seg", "tensorboard"} & packages.keys()
    assert packages["pytorch-ignite"] == version("pytorch-ignite")


def test_the_bundles_own_metadata_stay_as_they_are():
    given = trained(2, ("wall", "pore"))
    before = copy.deepcopy(given.metadata)
    completed_metadata(given, "portable")
    assert given.metadata == before


def card(form: str = "safe", **tables: Any) -> str:
    given = trained(**tables)
    return model_card(given, completed_metadata(given, form), form, "cells.zip")


def test_the_card_tells_the_measured_with_intervals():
    text = card(test=SUMMARY, **{"external second_lab": SUMMARY})
    assert "| measure | membrane |\n| --- | --- |\n| dice | 0.812 [0.700, 0.900] |\n| hd95 |  |\n" in text
    assert text.count("## Measured: ") == 2
    assert "## Measured: external second_lab" in text
    assert "Do not rely" not in text
    assert "5 cases of training, 1 of validation, 2 of test; begun 2026-01-02, on a new one. Seed 7." in text
    assert "somebody" not in text


def test_a_card_of_a_run_that_was_not_evaluated_warns():
    assert "## Measured\n\nNothing: the run was not evaluated." in card()


@pytest.mark.parametrize(
    ("form", "command", "other"),
    [
        ("safe", "monai-seg verify cells.zip", "unzip"),
        ("portable", "unzip cells.zip -d membrane_em_segmentation", "monai-seg verify"),
    ],
)
def test_the_card_tells_how_to_use_its_form(form, command, other):
    text = card(form)
    assert f"\n{command}\n" in text
    assert other not in text
    assert f"| form | {form} |" in text


def test_the_card_has_the_limits_of_the_bundles_page_and_is_markdown():
    text = card(test=SUMMARY)
    page = (BUNDLE / "docs" / "README.md").read_text()
    limits = page.split("## Limits\n")[1].split("\n## ")[0].strip()
    assert f"## Limits\n\n{limits}\n" in text
    assert "\n\n\n" not in text
    assert "{{" not in text
    assert "{%" not in text
    lines = text.splitlines()
    for number, line in enumerate(lines[1:], start=1):
        if line.startswith("#"):
            assert lines[number - 1] == "" == lines[number + 1], line
