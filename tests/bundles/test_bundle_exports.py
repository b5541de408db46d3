"""Safe exports of all bundles: data alone, the same bytes each time, nothing of the machine, equal predictions."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_helpers import FinishedRun
from bundle_tasks import MEMBRANE, TASKS
from emotion_task import EMOTIONS
from exported_predictions import (
    assert_same_predictions,
    finished_run,
    images_of_test,
    places_of_the_machine,
    predictions,
)
from instance_task import INSTANCES

from monai_seg.inference.bundle_workflow import BundleWorkflow
from monai_seg.sharing.audit import Verdict, audit
from monai_seg.sharing.audit.registry import COMPONENTS
from monai_seg.sharing.export.exporting import export_bundle
from monai_seg.sharing.export.sample_case import retest_sample
from monai_seg.sharing.opening import BundleTrustError, opened_bundle
from monai_seg.sharing.portable.compare_predictions import SelfTestError

KEPT = "@preprocessing"


@dataclass(frozen=True)
class Exported:
    """A finished run, its export, and the same unpacked elsewhere."""

    run: FinishedRun
    archive: Path
    folder: Path


@pytest.fixture(scope="module", params=[*TASKS, INSTANCES, EMOTIONS], ids=lambda task: task.name)
def exported(request, tmp_path_factory) -> Exported:
    """The safe export of each bundle in turn; leave it as it is."""
    run = finished_run(request, request.param)
    archive = tmp_path_factory.mktemp("sent") / f"{run.task.name}.zip"
    export_bundle(run.task.root, run.path, archive)
    folder = tmp_path_factory.mktemp("elsewhere") / run.task.name
    with zipfile.ZipFile(archive) as sent:
        sent.extractall(folder)
    return Exported(run, archive, folder)


def values(content: Any) -> Iterator[tuple[str, Any]]:
    """Each value in JSON with the key that it stands under."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from values(value) if isinstance(value, (dict, list)) else [(str(key), value)]


def test_it_is_data_alone(exported):
    for path in (exported.archive, exported.folder):
        report = audit(path)
        assert (report.verdict, report.findings) == (Verdict.DATA_ONLY, [])
    found = {path.relative_to(exported.folder).as_posix() for path in exported.folder.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith("sample/")} == {
        "LICENSE", "manifest.json", "docs/README.md", "models/model.safetensors",
        "configs/inference.json", "configs/metadata.json", "configs/training.json",
    }  # fmt: skip


def test_no_configuration_holds_an_expression_or_a_strange_component(exported):
    files = sorted((exported.folder / "configs").glob("*.json"))
    assert len(files) == 3
    for file in files:
        for key, value in values(json.loads(file.read_text())):
            if key == "_target_":
                assert value in COMPONENTS
            elif isinstance(value, str):
                assert not value.lstrip().startswith(("$", "@", "%")) or value == KEPT, (file.name, key, value)


def test_the_unpacked_export_predicts_its_sample_as_where_it_was_made(exported):
    told = retest_sample(exported.folder, is_data=True)
    assert len(told) == len([path for path in (exported.folder / "sample/expected").rglob("*") if path.is_file()]) > 0


def test_the_export_predicts_new_images_as_the_run_does(exported, tmp_path):
    task, run = exported.run.task, exported.run
    images = images_of_test(run)
    own = predictions(task.root, tmp_path / "own", images, run=run.path)
    with opened_bundle(exported.archive) as opened:
        assert opened.is_data
        sent = predictions(opened.root, tmp_path / "sent", images, is_data=True)
    assert_same_predictions(own, sent, images)


def test_the_weights_are_those_of_the_run(exported):
    from safetensors.torch import load_file

    network = BundleWorkflow(exported.run.task.root, [exported.run.path]).network
    sent, own = load_file(exported.folder / "models" / "model.safetensors"), network.state_dict()
    assert sent.keys() == own.keys()
    assert all(np.array_equal(sent[name], own[name].cpu()) for name in own)


@pytest.mark.slow
def test_two_exports_are_the_same_bytes(exported, tmp_path):
    again = tmp_path / exported.archive.name
    export_bundle(exported.run.task.root, exported.run.path, again)
    assert again.read_bytes() == exported.archive.read_bytes()


def test_nothing_tells_of_the_machine(exported):
    content = b"\n".join(path.read_bytes() for path in exported.folder.rglob("*") if path.is_file())
    assert exported.run.task.name.encode() in content
    assert places_of_the_machine(content, exported.run) == []


def test_metadata_are_complete_and_true_of_the_run(exported):
    from importlib.metadata import version

    task = exported.run.task
    meta = json.loads((exported.folder / "configs" / "metadata.json").read_text())
    wanted = (
        "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
        "required_packages_version", "task", "description", "authors", "copyright", "network_data_format",
        "name", "intended_use", "data_source", "measured", "trained",
    )  # fmt: skip
    assert not [key for key in wanted if not meta.get(key)]
    assert "supported_apps" in meta
    assert meta["export_form"] == "safe"
    assert (meta["monai_version"], meta["numpy_version"]) == (version("monai"), version("numpy"))
    assert meta["network_data_format"]["inputs"]["image"]["num_channels"] == task.channels
    sections = json.loads((exported.run.path / "datalist.json").read_text())
    cases = {name: len(sections[name]) for name in ("training", "validation", "test")}
    assert meta["trained"]["cases"] == cases
    assert meta["measured"]["test"] == json.loads((exported.run.path / "metrics" / "summary.json").read_text())


def test_the_card_shows_what_was_measured(exported):
    card = (exported.folder / "docs" / "README.md").read_text()
    summary = json.loads((exported.run.path / "metrics" / "summary.json").read_text())
    assert "## Measured: test\n" in card
    assert f"monai-seg predict {exported.archive.name} IMAGES" in card
    table = {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in card.splitlines())}
    for measure, by_class in summary.items():
        for name in shown_classes(table, by_class):
            column = table["measure"].index(name)
            assert table[measure.replace("_", " ")][column].startswith(f"{by_class[name]['mean']:.3f}"), (measure, name)
    assert not re.search(r"[{%]}|{[{%]|\n\n\n", card)
    for before, heading in re.findall(r"(.*)\n(#+ .*)", card[1:]):
        assert before == "", heading


def shown_classes(table: dict[str, list[str]], by_class: dict[str, Any]) -> list[str]:
    """Columns that have a value, of rows that end with one."""
    return [name for name in table["measure"] if by_class.get(name, {}).get("mean") is not None]


def test_the_recipe_is_named_with_what_the_run_set_otherwise(exported):
    told = json.loads((exported.folder / "configs" / "training.json").read_text())
    task = exported.run.task
    assert told["recipe"] == task.name
    for key, value in task.overrides.items():
        assert told["settings"].get(key) == value, key
    assert not {"dataset_dir", "run_dir", "bundle_root", "device"} & told["settings"].keys()
    sections = json.loads((exported.run.path / "datalist.json").read_text())
    seen = [record["sha256"] for name in ("training", "validation") for record in sections[name]]
    assert told["trained_on"] == sorted(set(seen))


# --- damage, of one export, as it may happen and as somebody may do it


@pytest.fixture(scope="module")
def sent(request, tmp_path_factory) -> Path:
    """An export of membranes; leave it as it is."""
    run = finished_run(request, MEMBRANE)
    archive = tmp_path_factory.mktemp("sent") / "cells.zip"
    export_bundle(run.task.root, run.path, archive)
    return archive


@pytest.fixture
def files(sent) -> dict[str, bytes]:
    with zipfile.ZipFile(sent) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refuse(path: Path) -> str:
    with pytest.raises(BundleTrustError) as refused, opened_bundle(path, trust=True):
        pass
    return str(refused.value)


def test_another_export_is_the_same_bytes(sent, request, tmp_path):
    run = finished_run(request, MEMBRANE)
    export_bundle(run.task.root, run.path, tmp_path / sent.name)
    assert (tmp_path / sent.name).read_bytes() == sent.read_bytes()


def test_a_copy_of_the_files_opens(files, tmp_path):
    with opened_bundle(zipped(files, tmp_path / "cells.zip")) as opened:
        assert opened.is_data


def test_a_file_that_is_removed_renamed_or_added_is_refused(files, tmp_path):
    for name, content in files.items():
        left = {other: value for other, value in files.items() if other != name}
        if name != "manifest.json":  # without it nobody can tell, so that it is no longer data alone
            assert name in refuse(zipped(left, tmp_path / "removed.zip"))
            assert name in refuse(zipped({**left, f"{name}x": content}, tmp_path / "renamed.zip"))
        else:
            with pytest.raises(BundleTrustError, match=r"manifest"), opened_bundle(zipped(left, tmp_path / "m.zip")):
                pass
    for added in ("notes.txt", "configs/train.yaml", "sample/images/second.png", "models/model.pt"):
        assert added in refuse(zipped({**files, added: b"{}"}, tmp_path / "added.zip"))


def test_a_byte_that_is_flipped_is_refused(files, tmp_path):
    draw = np.random.default_rng(0)
    for name, content in files.items():
        for place in {0, len(content) - 1, *draw.integers(0, len(content), 3).tolist()}:
            changed = bytearray(content)
            changed[place] ^= 1 << int(draw.integers(8))
            refuse(zipped({**files, name: bytes(changed)}, tmp_path / "flipped.zip"))


def test_a_sample_or_weights_that_are_not_those_fail_the_self_test(sent, tmp_path):
    """Also where somebody made the manifest anew: then the prediction tells."""
    from PIL import Image
    from safetensors.torch import load_file, save_file

    def unpacked(name: str) -> Path:
        with zipfile.ZipFile(sent) as archive:
            archive.extractall(tmp_path / name)
        return tmp_path / name

    retest_sample(unpacked("whole"), is_data=True)
    mask = next((tmp_path / "whole" / "sample" / "expected").glob("*.png"))
    Image.fromarray(1 - np.asarray(Image.open(mask))).save(mask)
    with pytest.raises(SelfTestError, match=r"pixels differ"):
        retest_sample(tmp_path / "whole", is_data=True)

    weights = unpacked("other") / "models" / "model.safetensors"
    state = load_file(weights)
    save_file({name: -value if "final_conv" in name else value for name, value in state.items()}, weights)
    with pytest.raises(SelfTestError, match=r"pixels differ"):
        retest_sample(tmp_path / "other", is_data=True)

    image = next((unpacked("broken") / "sample" / "images").iterdir())
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(SelfTestError, match=r"cannot be predicted"):
        retest_sample(tmp_path / "broken", is_data=True)
