"""By which recipe a run was trained, said as data: its name, and what was set otherwise than in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from monai_seg.sharing.export.trained_bundle import TrainedBundle

# Places of the machine that it was made on, and what belongs to one run alone.
NOT_SHARED = ("imports", "bundle_root", "dataset_dir", "run_dir", "resume", "evaluate_section")


def continuing(trained: TrainedBundle) -> dict[str, Any]:
    """What another person needs to train on with the same recipe.

    Returns:
        ``{"recipe": name of the bundle, "settings": {key: plain value}, "trained_on": [SHA-256 of each image]}``.
    """
    recipe = _yaml(trained.bundle / "configs" / "train.yaml")
    run = _yaml(trained.run_folder / "config.yaml") if trained.run_folder else {}
    settings = {key: value for key, value in _otherwise(run, recipe) if key.split("#")[0] not in NOT_SHARED}
    sections = trained.of_run("datalist.json")
    seen = {
        record["sha256"]
        for name in ("training", "validation")
        for record in sections.get(name, [])
        if "sha256" in record
    }
    return {"recipe": trained.name, "settings": settings, "trained_on": sorted(seen)}


def _otherwise(run: dict[str, Any], recipe: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Each plain value that a run sets otherwise than its recipe, with its id, as ``network_def#features``."""
    for key, value in run.items():
        if isinstance(value, dict):
            usual = recipe.get(key, {})
            if isinstance(usual, dict):  # a text is a copy of another item, which the run has resolved
                yield from _otherwise(value, usual, f"{place}{key}#")
        # A component is no setting; and the weights to begin with are those of this run.
        elif not key.startswith(("_", "pretrained")) and recipe.get(key, recipe) != value and _is_plain(value):
            yield f"{place}{key}", value


def _yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip().startswith(("$", "@", "%")) and "/" not in value and "\\" not in value
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float))
