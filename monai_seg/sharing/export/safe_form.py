"""The safe form of an export: data alone, which monai-seg opens without running anything that came with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_seg.inference.bundle_workflow import SAFE_CONFIGURATION
from monai_seg.sharing.export.recipe import continuing
from monai_seg.sharing.export.trained_bundle import TrainedBundle

TRAINING = "configs/training.json"
_NEEDED = ("batch_size",)  # to predict; what else the bundle sets is in its components already


def write_safe_form(trained: TrainedBundle, folder: Path) -> None:
    """Write what a safe export holds beside metadata, model card, sample and manifest.

    - ``configs/inference.json``: components of our registry with plain arguments.
    - ``configs/training.json``: the recipe that the run was made with, by its name, and what was set otherwise; and
      the hashes of the images that were trained on, so that nobody evaluates on them.
    - ``models/model.safetensors``.

    Args:
        trained: what is exported.
        folder: of the bundle, which is there.

    Raises:
        ExportError: the bundle needs what data alone cannot say.
    """
    settings = {key: trained.settings[key] for key in _NEEDED if key in trained.settings}
    content = {"gives": trained.workflow.gives, **settings, **trained.components}
    content["class_names"] = trained.class_names
    write_json(folder / SAFE_CONFIGURATION, content)
    write_json(folder / TRAINING, continuing(trained))
    write_weights(trained, folder / "models" / "model.safetensors")


def write_weights(trained: TrainedBundle, path: Path) -> None:
    """Write the state of the network as safetensors."""
    from safetensors.torch import save_file

    from monai_seg.engines.precision import bare

    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.cpu().contiguous().clone() for name, value in bare(trained.network).state_dict().items()}
    save_file(state, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
