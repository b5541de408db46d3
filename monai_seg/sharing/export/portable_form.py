"""The portable form of an export: for plain MONAI, where this package is not installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from monai_seg.engines.precision import bare
from monai_seg.sharing.export.documented_sizes import document_sizes
from monai_seg.sharing.export.enclosed_modules import EnclosedModules
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.further_forms import write_further_forms
from monai_seg.sharing.export.network_program import exported_program, largest_difference
from monai_seg.sharing.export.safe_form import write_json
from monai_seg.sharing.export.sample_case import EXPECTED, IMAGES, copy_images, leave_out_folders, predict_sample
from monai_seg.sharing.export.seen_images import seen_images
from monai_seg.sharing.export.trained_bundle import TrainedBundle
from monai_seg.sharing.portable.compare_predictions import compare_predictions

_MONAI = "monai.networks.nets."
_OWN = "monai_seg."


def write_portable_form(trained: TrainedBundle, folder: Path, also: Sequence[str]) -> list[str]:
    """Write what a portable export holds beside metadata and model card, run it, and compare.

    A network of MONAI's own is named in the configuration. Another one comes as a program of ``torch.export``; the
    module of one that this does not follow (a detector) is enclosed. Transforms of this package are enclosed always.

    Args:
        trained: what is exported.
        folder: of the bundle, with its metadata, whose sizes are made true of a program.
        also: further forms of the network.

    Returns:
        How much the forms of the network differ, and what was compared on the sample.

    Raises:
        ExportError: a form is not to be had of this network, or the bundle does not run.
        SelfTestError: it predicts otherwise than the bundle that it was made of.
    """
    modules = EnclosedModules(folder / "scripts")
    (folder / "models").mkdir()
    state = {name: value.cpu().clone() for name, value in bare(trained.network).state_dict().items()}
    torch.save(state, folder / "models" / "model.pt")
    image = seen_images(trained)
    network, told = _network(trained, folder, modules, image)
    write_json(folder / "configs" / "inference.json", _configuration(trained, network, modules))
    told += write_further_forms(trained, folder / "models", image, also)
    copy_images(trained.sample_files, folder)
    _run(folder)
    leave_out_folders(folder / EXPECTED)
    with tempfile.TemporaryDirectory() as place:
        predict_sample(trained.bundle, folder / IMAGES, Path(place), is_data=False, run=trained.run)
        return told + compare_predictions(Path(place), folder / EXPECTED)


def _network(
    trained: TrainedBundle, folder: Path, modules: EnclosedModules, image: torch.Tensor
) -> tuple[dict[str, Any], list[str]]:
    """What the configuration says of the network, and how the program differs from it."""
    definition = dict(trained.components["network_def"])
    if definition["_target_"].startswith(_MONAI):
        return definition, []
    if trained.workflow.gives == "object":
        return {**definition, "_target_": modules.enclose(definition["_target_"])}, []
    network = bare(trained.network).cpu()
    program, is_free = exported_program(network, image)
    torch.export.save(program, folder / "models" / "model.pt2")
    document_sizes(folder / "configs" / "metadata.json", program, image, is_free)
    with torch.no_grad():
        difference = largest_difference(program.module()(image), network(image))
    sizes = "any size" if is_free else "one size"
    told = f"model.pt2 (any batch, {sizes}): scores differ by {difference:.1g} at most"
    return {
        "_target_": "scripts.exported_network.ExportedNetwork",
        "file": "$@bundle_root + '/models/model.pt2'",
        "device": "@device",
    }, [told]


def _configuration(trained: TrainedBundle, network: dict[str, Any], modules: EnclosedModules) -> dict[str, Any]:
    is_program = "file" in network
    is_detector = trained.workflow.gives == "object"
    weights = {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": "@network"},
        "map_location": "@device",
    }
    files: dict[str, Any] = {
        "_target_": "scripts.prediction_files.PredictionFiles",
        "output_dir": "@output_dir",
        "gives": trained.workflow.gives,
        "class_names": trained.class_names,
    }
    loader: dict[str, Any] = {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0}
    engine = "SupervisedEvaluator"
    if is_detector:
        files["network"] = "@network"
        loader["collate_fn"] = "$monai.data.utils.no_collation"
        engine = modules.enclose("monai_seg.engines.DetectionEvaluator")
    components = {key: _enclosed(value, modules) for key, value in trained.components.items() if key != "network_def"}
    return {
        "imports": ["$import scripts.bundle_files as bundle_files", "$import monai.data.utils"],
        "bundle_root": "$bundle_files.bundle_root()",
        "dataset_dir": f"$@bundle_root + '/{IMAGES}'",
        "output_dir": "predictions",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": components["preprocessing"],
        "dataset": {
            "_target_": "Dataset",
            "data": "$bundle_files.images(@dataset_dir)",
            "transform": "@preprocessing",
        },
        "dataloader": loader,
        "inferer": components["inferer"],
        "postprocessing": components["postprocessing"],
        "handlers": [files] if is_program else [weights, files],
        "evaluator": {
            "_target_": engine,
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        # No initialize: MONAI finds modules of the bundle only while it runs.
        "run": ["$@evaluator.run()"],
    }


def _enclosed(content: Any, modules: EnclosedModules) -> Any:
    """A configuration whose components of this package are those under ``scripts``."""
    if isinstance(content, dict):
        return {key: _enclosed(value, modules) for key, value in content.items()}
    if isinstance(content, list):
        return [_enclosed(value, modules) for value in content]
    if isinstance(content, str) and content.startswith(_OWN):
        return modules.enclose(content)
    return content


def _run(folder: Path) -> None:
    """Predict the sample by MONAI's own command, from another folder, as whoever gets the bundle will."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(folder / "configs" / "inference.json")]
    command += ["--output_dir", str(folder / EXPECTED)]
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError("the bundle does not run under plain MONAI\n  " + "\n  ".join(done.stderr.splitlines()[-12:]))
    for cache in folder.rglob("__pycache__"):
        for file in cache.iterdir():
            file.unlink()
        cache.rmdir()
