"""Unknown keys: which are refused and what is suggested; which are read though no list names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_seg.engines import UnknownKeyError
from monai_seg.engines.key_check import unknown_keys

CONFIGS = sorted(Path(__file__).parents[2].glob("bundles/*/configs/*.yaml"))
pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")
ids = [f"{file.parts[-3]}/{file.name}" for file in CONFIGS]


def parsed(file: Path, **overrides) -> dict:
    """A configuration as it runs; one that is neither train.yaml nor inference.yaml lies over the former."""
    files = [file] if file.name in ("train.yaml", "inference.yaml") else [file.with_name("train.yaml"), file]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update(overrides)
    parser.parse()
    return parser.get()


@pytest.mark.parametrize("file", CONFIGS, ids=ids)
def test_shipped_configurations_pass(file):
    assert list(unknown_keys(parsed(file))) == []


def test_there_are_shipped_configurations():
    assert {file.name for file in CONFIGS} >= {"train.yaml", "inference.yaml"}


@pytest.mark.parametrize(
    "file", [file for file in CONFIGS if file.name == "train.yaml"], ids=lambda file: file.parts[-3]
)
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("learning_rte", r"^unknown key 'learning_rte': did you mean 'learning_rate'\?$"),
        ("data_set_dir", r"^unknown key 'data_set_dir': did you mean 'dataset_dir'\?$"),
        ("zzzz", r"^unknown key 'zzzz'; known are .*learning_rate"),
        ("train#dataloade", r"^unknown key 'train#dataloade': did you mean 'dataloader'\?$"),
        ("validate#inferrer", r"^unknown key 'validate#inferrer': did you mean 'inferer'\?$"),
        (
            "train#trainer#max_epoch",
            r"'train#trainer#max_epoch' of monai_seg.engines.(Detection)?Trainer: did you mean 'max_epochs'",
        ),
        (
            "train#dataset#cacherate",
            r"'train#dataset#cacherate' of monai_seg.*CounterCacheDataset: did you mean 'cache_rate'",
        ),
        ("optimizer#weight_decays", r"'optimizer#weight_decays' of torch.optim.AdamW: did you mean 'weight_decay'"),
    ],
)
def test_a_slip_in_an_override_is_refused_with_the_nearest_key(file, key, message):
    (found,) = unknown_keys(parsed(file, **{key.replace("#", "::"): 1}))
    assert re.search(message, found)


@pytest.mark.parametrize(
    ("bundle", "key", "message"),
    [
        ("membrane", "validate#inferer#overlapp", "of SlidingWindowInferer: did you mean 'overlap'"),
        ("membrane", "network_def#feature", "of BasicUNet: did you mean 'features'"),
        ("membrane", "loss#sigmod", "of DiceCELoss: did you mean 'sigmoid'"),
        ("building", "network_def#feature", "of monai_seg.networks.UNetPlusPlus: did you mean 'features'"),
        ("building", "loss#loss#gama", "of monai_seg.losses.FocalDiceLoss: did you mean 'gamma'"),
        ("face_shadow", "network_def#encode", "of monai_seg.networks.ResNet50UNet: did you mean 'encoder'"),
        ("face_shadow", "shadow_ranges#penumbr", "of monai_seg.transforms.FaceShadowRanges: did you mean 'penumbra'"),
        ("face_emotion", "network_def#dropuot", "of monai_seg.networks.make_classifier: did you mean 'dropout'"),
        ("face_emotion", "loss#gama", "of monai_seg.losses.ClassificationLoss: did you mean 'gamma'"),
        ("brain_tumor", "network_def#anchor_size", "of monai_seg.networks.MaskRCNN: did you mean 'anchor_sizes'"),
    ],
)
def test_a_slip_in_an_argument_is_refused_with_the_nearest_one(bundle, key, message):
    (file,) = (file for file in CONFIGS if file.name == "train.yaml" and file.parts[-3].startswith(bundle))
    (found,) = unknown_keys(parsed(file, **{key.replace("#", "::"): 1}))
    assert f"'{key}' {message}" in found


@pytest.mark.parametrize(
    "config",
    [
        {"rate": 1, "run": ["$print(@rate)"]},
        {"rate": 1, "run": ["$print(2 * @rate + 1 if @rate else 0)"]},
        {"a": {"b": 1, "c": {"d": 2}}, "run": ["$@a#b + @a::c::d"]},
        {"a": {"b": 1, "c": 2}, "run": "@a"},
        {"a": [1, {"b": 2}], "run": "$@a#1#b"},
        {"loss": {"_target_": "DiceLoss", "_disabled_": False, "_requires_": "@x", "_mode_": "default"},
         "x": 1, "run": "@loss"},
        {"thing": {"_target_": "builtins.dict", "anything": 1}, "run": "@thing"},
        {"thing": {"_target_": "$type(3)", "anything": 1}, "run": "@thing"},
        {"thing": {"_target_": "no.such.Module", "anything": 1}, "run": "@thing"},
        {"network_def": {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2,
                         "channels": [4, 8], "strides": [2]}},
        {"imports": ["$import os"], "initialize": [], "finalize": [], "evaluating": []},
    ],
    ids=["expression", "longer expression", "nested", "as a whole", "in a list", "MONAI's own", "keyword arguments",
         "target by expression", "target not found", "property", "run ids"],
)  # fmt: skip
def test_what_is_read_is_accepted(config):
    assert list(unknown_keys(config)) == []


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"rate": 1, "run": ["the text @rate is no reference"]}, "rate"),
        ({"rate": 1, "run": ["$@ratel"], "ratel": 2}, "rate"),
        ({"a": {"b": 1, "c": 2}, "run": "$@a#b"}, "a#c"),
        ({"a": {"b": {"x": 1, "y": 2}}, "run": "$@a#b#x"}, "a#b#y"),
    ],
)
def test_what_nothing_reads_is_found(config, key):
    (found,) = unknown_keys(config)
    assert found.startswith(f"unknown key '{key}'")


def test_arguments_are_checked_however_deep_their_component_lies():
    flip = {"_target_": "RandFlipd", "keys": "image", "proba": 0.5}
    config = {
        "both": {"_target_": "Compose", "transforms": [flip]},
        "parts": {"one": flip},
        "run": ["$@both", "$@parts"],
    }
    found = sorted(unknown_keys(config))
    assert [line.split("'")[1] for line in found] == ["both#transforms#0#proba", "parts#one#proba"]
    assert all("did you mean 'prob'?" in line for line in found)


def test_all_of_them_are_listed():
    config = {"one": 1, "two": 2, "loss": {"_target_": "DiceLoss", "sigmod": True}, "run": "@loss"}
    assert [line.split("'")[1] for line in unknown_keys(config)] == ["one", "two", "loss#sigmod"]


def test_a_run_with_a_slip_ends_before_anything_is_built(tmp_path):
    config = {
        "imports": ["$from monai_seg.engines.key_check import check_keys"],
        "learning_rate": 1.0,
        "built": f"$__import__('pathlib').Path({str(tmp_path / 'built')!r}).touch()",
        "initialize": ["$check_keys()"],
        "run": ["$@learning_rate", "@built"],
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    workflow = ConfigWorkflow(str(tmp_path / "train.yaml"), workflow_type="train", learning_rte=0.5)
    with pytest.raises(RuntimeError) as caught:
        workflow.initialize()
    causes, error = [], caught.value
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    (own,) = {str(cause) for cause in causes if isinstance(cause, UnknownKeyError)}
    assert own == "unknown key 'learning_rte': did you mean 'learning_rate'?"
    assert not (tmp_path / "built").exists()

    workflow = ConfigWorkflow(str(tmp_path / "train.yaml"), workflow_type="train", learning_rate=0.5)
    workflow.initialize()
    workflow.run()
    assert (tmp_path / "built").exists()
