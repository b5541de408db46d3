"""Train and evaluate a bundle: by its own recipe, or, where it is data alone, by one of ours that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_seg.data.atomic import write_text_atomic
from monai_seg.engines.checkpoint import save_checkpoint
from monai_seg.engines.open_workflow import workflow_of
from monai_seg.inference.weights import find_weights, load_weights
from monai_seg.sharing.audit.registry import COMPONENTS
from monai_seg.sharing.export.recipe import NOT_SHARED
from monai_seg.sharing.export.safe_form import TRAINING
from monai_seg.sharing.opening import OUR_BUNDLES, OpenedBundle

_RUN = ("initialize", "training", "evaluating", "run")  # what is done, and not by which numbers
_DOTTED = re.compile(r"[^\W\d]\w*(\.\w+)+")


class RecipeError(ValueError):
    """A bundle that cannot be trained or evaluated here; the text says why."""


def run_recipe(opened: OpenedBundle, run_id: str, settings: Mapping[str, Any]) -> None:
    """Run ``training`` or ``evaluating`` of a bundle.

    An export of data alone names one of our recipes and what was set otherwise in it; its weights are those that
    training begins with, or those that are evaluated, into ``external/NAME`` of a new run folder.

    Args:
        opened: the bundle.
        run_id: ``"training"`` or ``"evaluating"``.
        settings: what is set otherwise than in the recipe, as ``{"network_def#features": [...]}``.

    Raises:
        RecipeError: there is no such recipe, or the export sets what it may not.
        CheckpointError: the weights do not fit the network.
    """
    recipe, given = opened.root / "configs" / "train.yaml", dict(settings)
    if opened.is_data:
        told = _told(opened)
        recipe = _our_recipe(opened, str(told.get("recipe", "")))
        given = {**vetted_settings(told.get("settings", {}), recipe), **given}
        if run_id == "evaluating":
            given = {**given, "run_dir": str(_as_run(opened, told, recipe, given))}
    elif not recipe.is_file():
        raise RecipeError(f"{opened.root} has no configs/train.yaml: it predicts, and cannot be trained or evaluated")
    workflow = workflow_of([recipe], "train", run_id, **given)
    if opened.is_data and run_id == "training":
        load_weights(workflow.parser.get_parsed_content("network_def"), find_weights(opened.root))
    workflow.run()
    workflow.finalize()


def vetted_settings(settings: Any, recipe: Path) -> dict[str, Any]:
    """The settings of an export, if they are plain values for keys that the recipe has.

    Args:
        settings: from its file.
        recipe: ours.

    Raises:
        RecipeError: one is something else.
    """
    if not isinstance(settings, dict):
        raise RecipeError(f"{TRAINING} of the export holds no settings")
    usual = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    for key, value in settings.items():
        if not _is_known(str(key), usual) or not _is_plain(value):
            raise RecipeError(
                f"{TRAINING} of the export sets {str(key)[:80]!r} to {str(value)[:80]!r}\n"
                f"  expected  plain values for keys of {recipe.parent.parent.name}\n"
                "  mend   ask for an export that monai-seg has written"
            )
    return dict(settings)


def _is_known(key: str, usual: dict[str, Any]) -> bool:
    parts = key.split("#")
    if parts[0] in NOT_SHARED or any(part.startswith("_") or not part.isidentifier() for part in parts):
        return False
    network = usual.get("network_def", {})
    if parts[0] == "network_def" and len(parts) == 2:
        names = [name for name in COMPONENTS if name.rpartition(".")[2] == str(network["_target_"]).rpartition(".")[2]]
        return parts[1] in COMPONENTS[names[0]] if names else False
    place: Any = usual
    for part in parts:
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return parts[0] not in _RUN and not _holds_components(place)


def _holds_components(content: Any) -> bool:
    return isinstance(content, dict) or (isinstance(content, list) and any(map(_holds_components, content)))


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        is_code = value.strip().startswith(("$", "@", "%")) or _DOTTED.fullmatch(value)
        return not is_code and not any(mark in value for mark in "/\\")
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float))


def _told(opened: OpenedBundle) -> dict[str, Any]:
    """What an export says of its training."""
    path = opened.root / TRAINING
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(told, dict) or not isinstance(told.get("trained_on", []), list):
        raise RecipeError(f"{TRAINING} of the export does not say how it was trained\n  mend   ask for another export")
    return told


def _our_recipe(opened: OpenedBundle, name: str) -> Path:
    recipe = OUR_BUNDLES / name / "configs" / "train.yaml"
    if not name.isidentifier() or not recipe.is_file():
        known = ", ".join(sorted(path.name for path in OUR_BUNDLES.glob("*") if path.is_dir())) or "none is installed"
        raise RecipeError(
            f"{opened.root.name} was trained by the recipe {name[:80]!r}, which is not here\n  known  {known}\n"
            "  mend   run this command in a checkout of monai-seg that has it"
        )
    return recipe


def _as_run(opened: OpenedBundle, told: Mapping[str, Any], recipe: Path, given: Mapping[str, Any]) -> Path:
    """A run folder that holds what came with an export, for the recipe to evaluate."""
    folder = Path(given.get("run_dir") or Path("runs") / f"{opened.root.name}-evaluated").resolve()
    if (folder / "checkpoints").exists():
        raise RecipeError(f"{folder} holds a run already\n  mend   name a new folder: run_dir=FOLDER")
    parser = ConfigParser(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    for key, value in given.items():
        parser[key] = value
    network = load_weights(parser.get_parsed_content("network_def"), find_weights(opened.root))
    save_checkpoint(folder / "checkpoints" / "best.pt", {"model": network})
    seen = [{"image": "an image of its training", "sha256": str(sum_)} for sum_ in told.get("trained_on", [])]
    sections = {"dataset_dir": "", "training": seen, "validation": [], "test": []}
    write_text_atomic(folder / "datalist.json", json.dumps(sections) + "\n")
    return folder
