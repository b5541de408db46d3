"""``metadata.json`` of an export: what the bundle says, made true of this run and of what was installed."""

from __future__ import annotations

import copy
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from monai_seg.sharing.export.trained_bundle import TrainedBundle

_VERSIONS = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}


def completed_metadata(trained: TrainedBundle, form: str) -> dict[str, Any]:
    """The metadata of an export.

    Args:
        trained: what is exported.
        form: ``"safe"`` or ``"portable"``, which does not need this package.
    """
    found = copy.deepcopy(trained.metadata)
    found.pop("optional_packages_version", None)  # the name that the schema gave up
    run = trained.of_run("environment.json").get("sessions", [{}])[-1]
    for key, package in _VERSIONS.items():
        found[key] = run.get("packages", {}).get(package) or version(package)
    needed = found.get("required_packages_version", {})
    found["required_packages_version"] = {
        name: _installed(name, told)
        for name, told in sorted(needed.items())
        if form != "portable" or name not in ("monai-seg", "tensorboard")
    }
    found["supported_apps"] = found.get("supported_apps", {})
    found["export_form"] = form
    _tell_channels(found["network_data_format"], trained)
    if trained.measured():
        found["measured"] = trained.measured()
    if run:
        found["trained"] = _training(trained, run)
    return found


def _installed(package: str, told: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return told


def _tell_channels(network_format: dict[str, Any], trained: TrainedBundle) -> None:
    """Number and names of the channels that this run's network gives, which the bundle's own may not be."""
    told = network_format["outputs"]["pred"]
    names = trained.class_names
    if trained.workflow.gives == "image":
        channels = _channels_of(trained)
        if channels != told["num_channels"]:
            names = names if channels == len(names) else ["background", *names]
            told["num_channels"] = channels
            told["channel_def"] = {str(index): name for index, name in enumerate(names)}
    elif len(names) != len(told["channel_def"]):
        told["num_channels"] = len(names)
        told["channel_def"] = {str(index): name for index, name in enumerate(names)}
    network_format["inputs"]["image"]["num_channels"] = trained.workflow.in_channels


def _channels_of(trained: TrainedBundle) -> int:
    size = (1, trained.workflow.in_channels, *(32,) * trained.workflow.spatial_dims)
    with torch.no_grad():
        output = trained.network(torch.zeros(size, device=trained.workflow.device))
    return int((output[0] if isinstance(output, (list, tuple)) else output).shape[1])


def _training(trained: TrainedBundle, run: dict[str, Any]) -> dict[str, Any]:
    """How the run was made, without the paths of the machine that it was made on."""
    sections = trained.of_run("datalist.json")
    facts = {key: run[key] for key in ("time", "git_revision", "device_name", "data_hash") if run.get(key)}
    counts = {name: len(sections[name]) for name in ("training", "validation", "test") if name in sections}
    return {**facts, "cases": counts, "seed": sections.get("seed"), "fold": sections.get("fold")}
