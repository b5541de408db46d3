"""What tools rely on in the bundle of emotions: the contract of all bundles, and what differs for whole images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundle_helpers import load, refused, rows, run, workflow
from bundle_tasks import Task
from monai.bundle import ConfigParser, create_workflow

# The same tests, of another `task`.
from test_bundle_contract import (  # noqa: F401
    configuration,
    test_all_required_properties_answer_and_leave_no_trace,
    test_bundle_has_a_licence_and_no_weights_in_git,
    test_default_precision_follows_the_processor,
    test_every_working_directory_gives_the_same_places,
    test_logging_configuration_shows_our_lines_and_is_allowed_by_monai,
    test_network_takes_and_gives_what_the_metadata_say,
    test_run_ids_and_common_keys,
    test_unknown_key_of_inference_is_refused,
    test_wrong_amp_is_refused_with_the_allowed_values,
)
from test_bundle_distributed import launched, needs_gloo
from test_bundle_resume import assert_same_end, in_validation, interrupted
from test_bundle_runs import (  # noqa: F401
    test_a_run_is_never_overwritten,
    test_evaluating_before_training_says_so,
    test_recorded_configuration_is_the_one_that_ran,
    test_recorded_environment_says_on_what,
    test_time_budget_ends_validates_and_saves,
)

from monai_seg.engines import UnknownKeyError


@pytest.fixture(scope="session")
def task(emotions) -> Task:
    return emotions


@pytest.fixture
def finished(judged_emotions):
    return judged_emotions


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
    assert prediction["num_channels"] == len(train["class_names"])
    assert list(prediction["channel_def"].values()) == train["class_names"] == task.class_names
    assert all(name in meta["pred_classes"] for name in task.class_names)


def test_inference_is_configured_as_validation(task):
    train, inference = both(task)
    ours = {key: value for key, value in train["network_def"].items() if key not in ("pretrained", "stem")}
    assert inference["network_def"] == ours
    assert inference["inferer"] == train["validate"]["inferer"]
    for key in inference.keys() & train.keys() - {"run", "network_def", "imports"}:
        assert inference[key] == train[key], key
    assert inference["preprocessing"]["transforms"] == train["loading"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("learning_rte", "did you mean 'learning_rate'?"),
        ("imbalence", "did you mean 'imbalance'?"),
        ("architectur", "did you mean 'architecture'?"),
        ("class_mapp", "did you mean 'class_map'?"),
        ("train#prepare_batch#alfa", "did you mean 'alpha'?"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(task, key, text):
    with refused(UnknownKeyError, f"unknown key '{key}'", text):
        workflow(task, "training", **{key: 1})


def test_a_wrong_answer_to_imbalance_names_the_right_ones(task, tmp_path):
    with refused(ValueError, "imbalance is 'weighed'; give one of none, weighted"):
        run(task, "training", run_dir=str(tmp_path / "run"), imbalance="weighed")


def test_the_published_recipe_is_one_more_file(task, tmp_path):
    files = [str(task.config(name)) for name in ("train.yaml", "published.yaml")]
    settings = {key: task.settings[key] for key in ("dataset_dir", "amp", "device", "image_size", "architecture")}
    bundle = create_workflow(
        config_file=files, workflow_type="train", run_id="training", logging_file=False, run_dir=str(tmp_path),
        max_epochs=2, **settings,
    )  # fmt: skip
    assert bundle.bundle_root == str(task.root)
    bundle.run()
    parser: ConfigParser = bundle.parser
    optimizer, trainer = (parser.get_parsed_content(name) for name in ("optimizer", "train#trainer"))
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (1e-4, 1e-4)
    assert type(parser.get_parsed_content("schedule")).__name__ == "PlateauSchedule"
    assert (parser["batch_size"], parser["selection#patience"], parser["train#augmentation"]) == (64, "@patience", [])
    assert parser["patience"] == 12
    assert trainer.state.epoch == 2
    assert (tmp_path / "checkpoints" / "best.pt").is_file()


def test_a_run_stopped_in_validation_goes_on_bit_identically(task, finished, tmp_path):
    assert interrupted(task, tmp_path, in_validation) == 143
    run(task, "training", run_dir=str(tmp_path), resume=True)
    assert_same_end(tmp_path, finished.path)


@needs_gloo
@pytest.mark.slow
def test_two_processes_train_one_network_and_judge_alike(task, tmp_path):
    """Not to the same bytes: a network's scores depend in their last digits on the batch that an image comes in."""
    launched(task, "training", run_dir=tmp_path / "run")
    last = load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert last["facts"]["epoch"] == 2
    assert not [name for name in last["model"] if name.startswith("module.")]
    folders = [Path(shutil.copytree(tmp_path / "run", tmp_path / name)) for name in ("one", "two")]
    run(task, "evaluating", run_dir=str(folders[0]))
    launched(task, "evaluating", run_dir=folders[1])
    tables = [rows(folder / "metrics") for folder in folders]
    for one, two in zip(*tables, strict=True):
        assert (one["file"], one["person"], one["reference"]) == (two["file"], two["person"], two["reference"])
        assert float(one["probability_fear"]) == pytest.approx(float(two["probability_fear"]), abs=2e-5)
    summaries = [json.loads((folder / "metrics" / "summary.json").read_text()) for folder in folders]
    values = [[each["mean"]["mean"] for each in summary.values()] for summary in summaries]
    assert values[0] == pytest.approx(values[1], abs=1e-4)
