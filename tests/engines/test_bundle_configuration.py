"""What a configuration learns of itself: its folder from any working directory, and what it holds as it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

from monai_seg.engines import bundle_root
from monai_seg.engines.configuration import running_configuration

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")
CONFIG = {
    "imports": ["$import monai_seg.engines as engines", "$from monai_seg.engines import configuration"],
    "bundle_root": "$engines.bundle_root()",
    "rate": 0.1,
    "nested": {"value": 1},
    "copy": "%nested",
    "seen": "$configuration.running_configuration()",
    "run": ["$@bundle_root"],
}


@pytest.fixture
def config_file(tmp_path) -> Path:
    file = tmp_path / "bundles" / "some_bundle" / "configs" / "train.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(CONFIG))
    return file


@pytest.mark.parametrize("start", [".", "bundles", "bundles/some_bundle", "bundles/some_bundle/configs", "elsewhere"])
@pytest.mark.parametrize("is_relative", [True, False], ids=["relative", "absolute"])
def test_the_folder_is_found_from_any_working_directory(config_file, tmp_path, monkeypatch, start, is_relative):
    (tmp_path / start).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / start)
    given = os.path.relpath(config_file) if is_relative else str(config_file)
    for make in (ConfigWorkflow, create_workflow):
        workflow = make(config_file=given, workflow_type="train")
        if make is ConfigWorkflow:
            workflow.initialize()
        assert workflow.bundle_root == str(config_file.parents[1])


def test_a_bundle_without_a_configs_folder_is_its_own_root(tmp_path):
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(CONFIG))
    workflow = create_workflow(config_file=str(tmp_path / "train.yaml"), workflow_type="train")
    assert workflow.bundle_root == str(tmp_path)


def test_the_folder_is_found_where_a_command_parses_without_a_workflow(config_file):
    def export(config_file):
        parser = ConfigParser()
        parser.read_config(config_file)
        return parser.get_parsed_content("bundle_root")

    assert export(str(config_file)) == export([str(config_file)]) == str(config_file.parents[1])


def test_the_folder_that_was_remembered_answers_from_anywhere(tmp_path):
    config = CONFIG | {"initialize": ["$engines.configuration.remember_bundle_root()"]}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    workflow = create_workflow(config_file=str(tmp_path / "train.yaml"), workflow_type="train")
    assert workflow.parser.get_parsed_content("bundle_root") == str(tmp_path)


def test_a_bare_parser_cannot_know_the_folder():
    with pytest.raises(RuntimeError) as caught:
        ConfigParser(dict(CONFIG)).get_parsed_content("bundle_root")
    texts, error = [], caught.value
    while error is not None:
        texts.append(str(error))
        error = error.__cause__
    assert any("add the key bundle_root with its path" in text for text in texts)


def test_the_running_configuration_holds_overrides_and_resolved_macros(config_file):
    workflow = create_workflow(config_file=str(config_file), workflow_type="train", rate=0.5)
    seen = workflow.parser.get_parsed_content("seen")
    assert seen["rate"] == 0.5
    assert seen["copy"] == {"value": 1}
    assert seen["seen"] == CONFIG["seen"]
    assert "_meta_" not in seen


@pytest.mark.parametrize("function", [bundle_root, running_configuration])
def test_outside_a_configuration_there_is_nothing_to_know(function):
    with pytest.raises(RuntimeError, match=r"configuration|bundle_root"):
        function()
