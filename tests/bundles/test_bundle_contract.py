"""What tools rely on: MONAI's properties, run ids, metadata, and two configurations of a bundle that agree."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_helpers import refused, run, workflow
from bundle_tasks import REPOSITORY, Task
from monai.bundle import ConfigParser, ConfigWorkflow, verify_net_in_out
from monai.bundle.workflows import _apply_logging_file
from monai.utils import ensure_tuple

from monai_seg.engines import UnknownKeyError

COMMON_KEYS = {
    "dataset_dir", "run_dir", "max_epochs", "time_budget_s", "batch_size", "learning_rate", "seed", "amp", "compile",
    "fold", "group_by", "num_workers", "resume",
}  # fmt: skip


def configuration(task: Task, file: str) -> dict[str, Any]:
    return ConfigParser.load_config_file(task.config(file))


def steps(config: dict[str, Any], pipeline: str) -> list[dict[str, Any]]:
    """The transforms of a pipeline as written; ``$@loading + @train#augmentation`` joins the lists that it names."""
    parser = ConfigParser(config)
    written = parser[f"{pipeline}#transforms"]
    lists = [parser[name] for name in re.findall(r"@([\w#]+)", written)] if isinstance(written, str) else [written]
    return [step for each in lists for step in each]


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders if folder.is_dir() for path in folder.rglob("*")}


@pytest.mark.parametrize("run_id", ["training", "inferring"])
def test_all_required_properties_answer_and_leave_no_trace(task, run_id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watched = (tmp_path, task.data, task.root, REPOSITORY / "runs" / task.name)
    before = files_below(*watched)
    bundle = workflow(task, run_id)
    assert bundle.check_properties() == []
    assert files_below(*watched) == before
    assert Path(bundle.bundle_root) == task.root
    assert Path(bundle.dataset_dir) == task.data


@pytest.mark.parametrize("place", ["repository", "bundle", "elsewhere"])
def test_every_working_directory_gives_the_same_places(task, place, tmp_path, monkeypatch):
    monkeypatch.chdir({"repository": REPOSITORY, "bundle": task.root, "elsewhere": tmp_path}[place])
    relative = os.path.relpath(task.config("train.yaml"))
    bundle = ConfigWorkflow(relative, workflow_type="train", logging_file=False, dataset_dir=str(task.data))
    bundle.initialize()
    assert bundle.bundle_root == str(task.root)
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
    out_channels = ConfigParser(train).get_parsed_content("network_def#out_channels")
    assert image["num_channels"] == len(image["channel_def"]) == train["network_def"]["in_channels"] == task.channels
    assert prediction["num_channels"] == len(prediction["channel_def"]) == out_channels
    assert len(image["spatial_shape"]) == len(prediction["spatial_shape"]) == len(task.shape)
    named = list(prediction["channel_def"].values())
    assert [name for name in named if name != "background"] == train["class_names"] == task.class_names


def test_network_takes_and_gives_what_the_metadata_say(task):
    # As the Model Zoo verifies it: the smallest shape that the metadata allow.
    for file in ("train.yaml", "inference.yaml"):
        verify_net_in_out(
            net_id="network_def", meta_file=str(task.config("metadata.json")), config_file=str(task.config(file)),
            device="cpu", p=1, n=1, any=1,
        )  # fmt: skip


# That both show the network the same image, `test_bundle_transforms` sees in the images themselves.
def test_inference_is_configured_as_validation(task):
    train, inference = (configuration(task, f"{name}.yaml") for name in ("train", "inference"))
    # Inference loads trained weights, whatever these began from.
    ours = {key: value for key, value in train["network_def"].items() if key != "pretrained"}
    assert inference["network_def"] == ours
    assert inference["inferer"] == train["validate"]["inferer"]
    for key in inference.keys() & train.keys() - {"network_def", "run"}:
        assert inference[key] == train[key], key
    validated = steps_for("pred", steps(train, "validate#postprocessing"))
    copies = [step for step in validated if step["_target_"] == "CopyItemsd"]  # the logits, for the loss alone
    validated = [step for step in validated if step not in copies]
    assert validated == steps_for("pred", steps(inference, "postprocessing"))


def steps_for(key: str, transforms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps that touch a key, reduced to what they do to it."""
    found = []
    for step in transforms:
        keys = ensure_tuple(step.get("keys", ()))  # a choice of transforms has none
        if key not in keys:
            continue
        place = keys.index(key)
        own = {
            name: value[place] if isinstance(value, list) and len(value) == len(keys) > 1 else value
            for name, value in step.items()
            if name != "allow_missing_keys"
        }
        found.append({name: str(value).replace("validate#", "") for name, value in own.items()})
    return found


def test_training_and_validation_begin_alike(task):
    train = configuration(task, "train.yaml")
    common = {
        "LoadImaged", "MapLabelValued", "Orientationd", "Spacingd", "NormalizeIntensityd", "ScaleIntensityRanged",
        "monai_seg.transforms.EdgeTrueResized",
    }  # fmt: skip
    pipelines = [
        [step for step in steps_for("image", steps(train, f"{name}#preprocessing")) if step["_target_"] in common]
        for name in ("train", "validate")
    ]
    assert len(pipelines[0]) >= 2
    assert pipelines[0] == pipelines[1]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"learning_rte": 0.5}, "unknown key 'learning_rte': did you mean 'learning_rate'?"),
        ({"network_def#out_chanels": 1}, "unknown key 'network_def#out_chanels' of {}: did you mean 'out_channels'?"),
        ({"train#handler": []}, "unknown key 'train#handler': did you mean 'handlers'?"),
    ],
    ids=["top", "argument", "nested"],
)
def test_unknown_key_is_refused_with_the_nearest_one(task, overrides, text):
    network = configuration(task, "train.yaml")["network_def"]["_target_"]
    with refused(UnknownKeyError, text.format(network)):
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
    assert "Apache License" in (task.root / "LICENSE").read_text()
    models = (task.root / "models").iterdir()
    assert not [path.name for path in models if path.suffix == ".pt" and not is_ignored(path)]


def is_ignored(path: Path) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=REPOSITORY, check=False).returncode == 0


def test_default_precision_follows_the_processor(task):
    bundle = workflow(task, "inferring", amp="auto")
    dtype = bundle.parser.get_parsed_content("evaluator").inferer.dtype
    assert dtype in (None, torch.bfloat16)
