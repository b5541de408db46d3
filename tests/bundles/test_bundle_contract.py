"""What tools rely on: MONAI's properties, run ids, metadata, and two configurations of a bundle that agree."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_helpers import REPOSITORY, refused, run, workflow
from monai.bundle import ConfigParser, ConfigWorkflow, verify_net_in_out
from monai.bundle.workflows import _apply_logging_file

from monai_seg.engines import UnknownKeyError

COMMON_KEYS = {
    "dataset_dir", "run_dir", "max_epochs", "time_budget_s", "batch_size", "learning_rate", "seed", "amp", "compile",
    "fold", "group_by", "num_workers", "resume",
}  # fmt: skip


def configuration(task: Any, file: str) -> dict[str, Any]:
    return ConfigParser.load_config_file(task.config(file))


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders if folder.is_dir() for path in folder.rglob("*")}


@pytest.mark.parametrize("run_id", ["training", "inferring"])
def test_all_required_properties_answer_and_leave_no_trace(task, run_id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watched = (tmp_path, task.data, REPOSITORY / "bundles" / task.name, REPOSITORY / "runs" / task.name)
    before = files_below(*watched)
    bundle = workflow(task, run_id)
    assert bundle.check_properties() == []
    assert files_below(*watched) == before
    assert Path(bundle.bundle_root) == REPOSITORY / "bundles" / task.name
    assert Path(bundle.dataset_dir) == task.data


@pytest.mark.parametrize("place", ["repository", "bundle", "elsewhere"])
def test_every_working_directory_gives_the_same_places(task, place, tmp_path, monkeypatch):
    root = REPOSITORY / "bundles" / task.name
    folder = {"repository": REPOSITORY, "bundle": root, "elsewhere": tmp_path}[place]
    monkeypatch.chdir(folder)
    relative = os.path.relpath(root / "configs" / "train.yaml")
    bundle = ConfigWorkflow(relative, workflow_type="train", logging_file=False, dataset_dir=str(task.data))
    bundle.initialize()
    assert bundle.bundle_root == str(root)
    assert bundle.parser.get_parsed_content("run_folder").runs == REPOSITORY / "runs" / task.name


def test_run_ids_and_common_keys(task):
    train, inference = (configuration(task, f"{name}.yaml") for name in ("train", "inference"))
    assert {"training", "evaluating", "run"} <= train.keys()
    assert {"inferring", "run"} <= inference.keys()
    assert (train["run"], inference["run"]) == ("%training", "%inferring")
    assert train.keys() >= COMMON_KEYS


def test_metadata_is_complete_and_true(task):
    meta, train = json.loads(task.config("metadata.json").read_text()), configuration(task, "train.yaml")
    wanted = (
        "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
        "required_packages_version", "task", "description", "authors", "copyright", "network_data_format",
    )  # fmt: skip
    assert not [key for key in wanted if not meta.get(key)]
    assert meta["version"] in meta["changelog"]
    image = meta["network_data_format"]["inputs"]["image"]
    prediction = meta["network_data_format"]["outputs"]["pred"]
    assert image["num_channels"] == train["network_def"]["in_channels"]
    assert prediction["num_channels"] == train["network_def"]["out_channels"] == len(prediction["channel_def"])
    assert len(image["spatial_shape"]) == len(prediction["spatial_shape"]) == train["network_def"]["spatial_dims"]
    named = list(prediction["channel_def"].values())
    assert [name for name in named if name != "background"] == train["class_names"]


def test_network_takes_and_gives_what_the_metadata_say(task):
    # As the Model Zoo verifies it: the smallest shape that the metadata allow.
    for file in ("train.yaml", "inference.yaml"):
        verify_net_in_out(
            net_id="network_def", meta_file=str(task.config("metadata.json")), config_file=str(task.config(file)),
            device="cpu", p=1, n=1, any=1,
        )  # fmt: skip


def test_inference_sees_images_as_validation_did(task):
    train, inference = (configuration(task, f"{name}.yaml") for name in ("train", "inference"))
    assert inference["network_def"] == train["network_def"]
    assert inference["network"] == train["network"]
    assert inference["inferer"] == train["validate"]["inferer"]
    for key in ("spacing_mm", "roi_size", "largest_component", "amp", "device"):
        assert inference.get(key) == train.get(key), key
    seen = [transforms_for("image", config["preprocessing"]) for config in (train["validate"], inference)]
    assert seen[0] == seen[1]
    validated = transforms_for("pred", train["validate"]["postprocessing"])
    copies = [step for step in validated if step["_target_"] == "CopyItemsd"]  # the logits, for the loss alone
    validated = [step for step in validated if step not in copies]
    assert validated == transforms_for("pred", inference["postprocessing"])


def transforms_for(key: str, compose: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a pipeline that touch a key, reduced to what they do to it."""
    steps = []
    for step in compose["transforms"]:
        keys = step["keys"] if isinstance(step["keys"], list) else [step["keys"]]
        if key not in keys:
            continue
        place = keys.index(key)
        own = {
            name: value[place] if isinstance(value, list) and len(value) == len(keys) > 1 else value
            for name, value in step.items()
        }
        steps.append({name: str(value).replace("validate#", "") for name, value in own.items()})
    return steps


def test_training_and_validation_begin_alike(task):
    train = configuration(task, "train.yaml")
    common = {"LoadImaged", "MapLabelValued", "Orientationd", "Spacingd", "NormalizeIntensityd"}
    pipelines = [
        [step for step in transforms_for("image", train[name]["preprocessing"]) if step["_target_"] in common]
        for name in ("train", "validate")
    ]
    assert pipelines[0] == pipelines[1]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"learning_rte": 0.5}, "unknown key 'learning_rte': did you mean 'learning_rate'?"),
        ({"network_def#featurs": [4]}, "unknown key 'network_def#featurs' of BasicUNet: did you mean 'features'?"),
        ({"train#handler": []}, "unknown key 'train#handler': did you mean 'handlers'?"),
    ],
    ids=["top", "argument", "nested"],
)
def test_unknown_key_is_refused_with_the_nearest_one(task, overrides, text):
    with refused(UnknownKeyError, text):
        workflow(task, "training", **overrides)


def test_unknown_key_of_inference_is_refused(task):
    with refused(UnknownKeyError, "unknown key 'output_dri': did you mean 'output_dir'?"):
        workflow(task, "inferring", output_dri="x")


def test_wrong_amp_is_refused_with_the_allowed_values(task, tmp_path):
    with refused(ValueError, "amp is 'bf16'; give auto, true or false"):
        run(task, "training", run_dir=str(tmp_path / "run"), amp="bf16")


def test_logging_configuration_shows_our_lines_and_is_allowed_by_monai(task):
    names = ("", "monai_seg", "ignite")
    before = [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names]
    disabled = {name: logging.getLogger(name).disabled for name in logging.root.manager.loggerDict}
    try:
        _apply_logging_file(str(task.config("logging.conf")))
        assert logging.getLogger("monai_seg.handlers.console").isEnabledFor(logging.INFO)
    finally:
        for name, (level, handlers) in zip(names, before, strict=True):
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).handlers[:] = handlers
        for name, was in disabled.items():
            logging.getLogger(name).disabled = was


def test_bundle_has_a_licence_and_no_weights_in_git(task):
    root = REPOSITORY / "bundles" / task.name
    assert "Apache License" in (root / "LICENSE").read_text()
    assert not [path.name for path in (root / "models").iterdir() if path.suffix == ".pt" and not is_ignored(path)]


def is_ignored(path: Path) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=REPOSITORY, check=False).returncode == 0


def test_default_precision_follows_the_processor(task):
    bundle = workflow(task, "inferring", amp="auto")
    dtype = bundle.parser.get_parsed_content("evaluator").inferer.dtype
    assert dtype in (None, torch.bfloat16)
