"""What tools rely on in the bundle of instances: the contract of all bundles, and what differs for objects."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from bundle_helpers import refused, workflow
from bundle_tasks import Task

# The same tests, of another `task`.
from test_bundle_contract import (  # noqa: F401
    configuration,
    test_all_required_properties_answer_and_leave_no_trace,
    test_bundle_has_a_licence_and_no_weights_in_git,
    test_default_precision_follows_the_processor,
    test_every_working_directory_gives_the_same_places,
    test_logging_configuration_shows_our_lines_and_is_allowed_by_monai,
    test_run_ids_and_common_keys,
    test_unknown_key_of_inference_is_refused,
    test_wrong_amp_is_refused_with_the_allowed_values,
)
from test_bundle_runs import (  # noqa: F401
    test_a_run_is_never_overwritten,
    test_evaluating_before_training_says_so,
    test_recorded_configuration_is_the_one_that_ran,
    test_recorded_environment_says_on_what,
    test_time_budget_ends_validates_and_saves,
)

from monai_seg.engines import UnknownKeyError


@pytest.fixture(scope="session")
def task(instances) -> Task:
    return instances


@pytest.fixture
def finished(trained_instances):
    return trained_instances


def both(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    return configuration(task, "train.yaml"), configuration(task, "inference.yaml")


def test_metadata_is_complete_and_true(task):
    meta, (train, _) = json.loads(task.config("metadata.json").read_text()), both(task)
    wanted = (
        "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
        "required_packages_version", "task", "description", "authors", "copyright", "network_data_format",
    )  # fmt: skip
    assert not [key for key in wanted if not meta.get(key)]
    assert meta["version"] in meta["changelog"]
    image = meta["network_data_format"]["inputs"]["image"]
    prediction = meta["network_data_format"]["outputs"]["pred"]
    assert image["num_channels"] == len(image["channel_def"]) == train["network_def"]["in_channels"] == task.channels
    assert (prediction["type"], prediction["format"]) == ("object", "dict")
    assert prediction["num_channels"] == len(prediction["channel_def"])
    assert list(prediction["channel_def"].values()) == train["class_names"] == task.class_names
    assert len(image["spatial_shape"]) == len(prediction["spatial_shape"]) == len(task.shape)


def test_network_gives_the_objects_that_the_metadata_say(task):
    """Lists of dictionaries have no shape, so that the Model Zoo's own verification cannot look at them."""
    meta = json.loads(task.config("metadata.json").read_text())
    named = meta["pred_classes"].partition(": ")[2].split(", ")
    network = workflow(task, "inferring").parser.get_parsed_content("network_def").eval()
    with torch.inference_mode():
        (found,) = network(torch.rand(1, 1, 40, 56))
    assert [name.split()[0] for name in named] == list(found)


def test_inference_is_configured_as_validation(task):
    train, inference = both(task)
    assert inference["inferer"] == train["validate"]["inferer"]
    assert inference["postprocessing"] == train["validate"]["postprocessing"]
    for key in inference.keys() & train.keys() - {"run"}:
        assert inference[key] == train[key], key
    steps = inference["preprocessing"]["transforms"]
    validated = [step for step in train["loading"] if "LoadInstances" not in step["_target_"]]
    assert steps == validated + train["validate"]["resizing"]


def test_training_sees_what_validation_sees(task):
    train = configuration(task, "train.yaml")
    resizing = next(
        step["transform"] for step in train["train"]["augmentation"] if "Resize" in str(step.get("transform", ""))
    )
    (validated,) = train["validate"]["resizing"]
    assert {key: resizing[key] for key in ("_target_", "spatial_size", "size_mode")} == {
        key: validated[key] for key in ("_target_", "spatial_size", "size_mode")
    }
    assert (resizing["mode"], resizing["anti_aliasing"]) == (validated["mode"], validated["anti_aliasing"])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("learning_rte", "did you mean 'learning_rate'?"),
        ("network_def#in_chanels", "did you mean 'in_channels'?"),
        ("train#trainer#micro_batch_sise", "did you mean 'micro_batch_size'?"),
        ("class_name", "did you mean 'class_names'?"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(task, key, text):
    with refused(UnknownKeyError, f"unknown key '{key}'", text):
        workflow(task, "training", **{key: 1})
