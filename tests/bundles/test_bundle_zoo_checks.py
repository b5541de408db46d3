"""What the Model Zoo's CI checks, for all six bundles, and for two portable exports.

The schema ``meta_schema.json`` is a transcription: of MONAI's bundle specification and of how the zoo's bundles use the
keys. It is **not** the official ``meta_schema_20240725.json``, which lies outside of any repository; a pass of it is no
pass of the official one. MONAI's own `verify_metadata` reads it from where it would keep the one that it fetches.

A detector gives a list of dictionaries, of which `verify_net_in_out` asks ``output.shape``: it cannot pass for any
detector. Its stand-in here is `test_the_detector_gives_the_documented_objects`: the documented input goes in, and the
documented keys, shapes, types and range come out.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_helpers import workflow
from bundle_tasks import BUILDING, FACE, HIPPOCAMPUS, MEMBRANE, REPOSITORY, Task
from emotion_task import EMOTIONS
from instance_task import INSTANCES
from monai.bundle import ConfigParser, ckpt_export, create_workflow, verify_net_in_out
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.scripts import _get_fake_spatial_shape
from zoo_checks import (
    WEIGHTS,
    configuration_of,
    faults_of_files,
    faults_of_version,
    metadata_of,
    verify_metadata_offline,
)

from monai_seg.sharing.export.exporting import ExportOptions, export_bundle

TASKS = (HIPPOCAMPUS, MEMBRANE, FACE, BUILDING, INSTANCES, EMOTIONS)
ROOTS = [task.root for task in TASKS]
TENSOR_ROOTS = [task.root for task in TASKS if task is not INSTANCES]


def by_name(value: Any) -> str:
    return value.name if isinstance(value, (Path, Task)) else str(value)


@pytest.fixture(autouse=True)
def _without_network(monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("a test reaches for the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_all_bundles_of_the_repository_are_checked():
    assert sorted(ROOTS) == sorted(path for path in (REPOSITORY / "bundles").iterdir() if path.is_dir())


@pytest.mark.parametrize("root", ROOTS, ids=by_name)
def test_files_version_and_changelog(root):
    """But for the weights, which an export adds: the exports below have them."""
    assert [*faults_of_files(root, has_weights=False), *faults_of_version(root, released=())] == []


@pytest.mark.parametrize("root", ROOTS, ids=by_name)
def test_metadata_fit_the_schema(root, tmp_path):
    verify_metadata_offline(root, tmp_path)


@pytest.mark.parametrize("root", ROOTS, ids=by_name)
def test_packages_are_pinned_as_the_project_pins_them(root):
    """The zoo's CI installs exactly these; versions that were never tested together would be luck."""
    pinned = {}
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines():
        requirement, _, marker = line.partition(";")
        if "==" in requirement and "<" not in marker:
            name, _, version = requirement.strip().partition("==")
            pinned[name.lower()] = version
    meta = metadata_of(root)
    told = {"monai": meta["monai_version"], "torch": meta["pytorch_version"], "numpy": meta["numpy_version"]}
    told |= meta["required_packages_version"]
    own = told.pop("monai-seg")
    assert told == {name: pinned[name] for name in told}
    assert f'version = "{own}"' in (REPOSITORY / "pyproject.toml").read_text()


@pytest.mark.parametrize("root", ROOTS, ids=by_name)
def test_licence_of_the_code_and_of_named_data(root):
    assert (root / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
    source = metadata_of(root)["data_source"]
    if "of the user's own" not in source:
        conditions = re.search(r"\((.+)\)$", source)
        text = (root / "docs" / "data_license.txt").read_text()
        assert conditions is not None
        assert conditions[1].split()[0] in text


@pytest.fixture
def own_task(request, with_data) -> Task:
    """A task with data; instances and emotions share theirs with their own tests."""
    shared = {INSTANCES: "instances", EMOTIONS: "emotions"}.get(request.param)
    return request.getfixturevalue(shared) if shared else with_data(request.param)


@pytest.mark.parametrize("run_id", ["training", "inferring"])
@pytest.mark.parametrize("own_task", TASKS, indirect=True, ids=by_name)
def test_every_required_property_has_a_value(own_task, run_id):
    bundle = workflow(own_task, run_id)
    assert bundle.check_properties() == []
    assert required_without_value(bundle, TrainProperties if run_id == "training" else InferProperties) == []


def required_without_value(bundle: Any, properties: dict[str, dict[str, Any]]) -> list[str]:
    required = [name for name, each in {**properties, **MetaProperties}.items() if each["required"]]
    return [name for name in required if getattr(bundle, name) is None]


def verify_network(root: Path) -> None:
    """As the zoo's CI does it: the smallest size that the metadata allow, and the place of the bundle told."""
    verify_net_in_out(
        net_id="network_def", meta_file=str(root / "configs" / "metadata.json"), device="cpu", p=1, n=1, any=1,
        config_file=str(configuration_of(root)), bundle_root=str(root),
    )  # fmt: skip


@pytest.mark.parametrize("root", TENSOR_ROOTS, ids=by_name)
def test_network_takes_and_gives_the_documented_tensors(root):
    verify_network(root)


def documented(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    told = metadata_of(root)["network_data_format"]
    return told["inputs"]["image"], told["outputs"]["pred"]


def network_of(root: Path, **overrides: Any) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(configuration_of(root)))
    for key, value in overrides.items():
        parser[key] = value
    return parser.get_parsed_content("network_def").eval()


def test_the_detector_gives_the_documented_objects():
    image, objects = documented(INSTANCES.root)
    network = network_of(INSTANCES.root, **{"network_def#score_thresh": 0.0})  # so that it finds something
    kinds = dict(part.split() for part in metadata_of(INSTANCES.root)["pred_classes"].partition(": ")[2].split(", "))
    assert objects["type"] == "object"
    for n in (1, 40):
        size = _get_fake_spatial_shape(image["spatial_shape"], n=n)
        batch = torch.rand(2, image["num_channels"], *size, dtype=getattr(torch, image["dtype"]))
        with torch.no_grad():
            found = network(batch)
        assert len(found) == len(batch)
        for each in found:
            count = len(each["box"])
            assert count > 0
            shapes = {"Nx4": (count, 4), "N": (count,), "NxHxW": (count, *size)}
            assert {key: tuple(value.shape) for key, value in each.items()} == {k: shapes[v] for k, v in kinds.items()}
            scores, low, high = each["label_scores"], *objects["value_range"]
            assert scores.dtype == each["box"].dtype == getattr(torch, objects["dtype"])
            assert ((scores >= low) & (scores <= high)).all()
            assert each["label"].dtype == torch.int64
            assert set(map(str, each["label"].tolist())) <= objects["channel_def"].keys()
            assert set(each["mask"].unique().tolist()) <= {0, 1}


def test_monais_own_function_cannot_look_at_a_detector():
    """If it ever can, the stand-in above is to be replaced by it."""
    with pytest.raises(AttributeError, match="'list' object has no attribute 'shape'"):
        verify_network(INSTANCES.root)


# That the checks find faults: one in each copy of a bundle.
@pytest.fixture
def copied(tmp_path) -> Path:
    return Path(shutil.copytree(MEMBRANE.root, tmp_path / "membrane_em_segmentation"))


def change(bundle: Path, **values: Any) -> None:
    metadata = metadata_of(bundle)
    for key, value in values.items():
        metadata.pop(key) if value is None else metadata.update({key: value})
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))


def test_missing_files_and_weights_are_found(copied):
    (copied / "LICENSE").unlink()
    (copied / "configs" / "inference.yaml").unlink()
    missing = list(faults_of_files(copied, has_weights=True))
    assert missing[:2] == ["LICENSE is missing", f"{WEIGHTS} is missing"]
    assert missing[2].startswith("none of configs/inference.json")


def test_a_version_that_is_not_told_or_not_new_is_found(copied):
    change(copied, version="0.2.0")
    assert list(faults_of_version(copied, ())) == ["version 0.2.0 is not in the changelog"]
    change(copied, version="0.1.0")
    released = {"membrane_em_segmentation_v0.1.0"}
    assert list(faults_of_version(copied, released)) == ["version 0.1.0 is released already"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"authors": None},
        {"numpy_version": ""},
        {"version": "first"},
        {"schema": "https://example.org/meta_schema_20220324.json"},
        {"optional_packages_version": {}},
        {"changelog": {}},
        {"network_data_format": {"inputs": {}, "outputs": {}}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_metadata_that_do_not_fit_are_refused(copied, tmp_path, wrong):
    change(copied, **wrong)
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata_offline(copied, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("type", "picture"), ("dtype", "float"), ("num_channels", 0), ("spatial_shape", []), ("value_range", [0]),
        ("is_patch_data", "no"), ("channel_def", {"first": "image"}), ("spatial_shape", ["__import__('os')", 1]),
    ],
)  # fmt: skip
def test_a_tensor_that_is_described_wrongly_is_refused(copied, tmp_path, key, value):
    told = metadata_of(copied)["network_data_format"]
    told["outputs"]["pred"][key] = value
    change(copied, network_data_format=told)
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata_offline(copied, tmp_path)


def test_a_network_that_gives_other_channels_is_refused(copied):
    told = metadata_of(copied)["network_data_format"]
    told["outputs"]["pred"]["num_channels"] = 3
    change(copied, network_data_format=told)
    with pytest.raises(ValueError, match="output channel number `1` doesn't match: `3`"):
        verify_network(copied)


@pytest.fixture(params=[MEMBRANE, EMOTIONS], ids=by_name)
def portable(request, with_data, finished_runs, tmp_path, monkeypatch) -> Path:
    """A portable export of a tiny run, unpacked: of MONAI's own network, and of one that comes as a program."""
    is_program = request.param is EMOTIONS
    run = request.getfixturevalue("judged_emotions") if is_program else finished_runs(with_data(MEMBRANE))
    sample = sorted(run.task.data.rglob("*.png"))[0]
    archive, folder = tmp_path / "export.zip", tmp_path / "models" / run.task.name
    export_bundle(run.task.root, run.path, archive, ExportOptions("portable", sample))
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))  # MONAI does so where a bundle is run by its command
    return folder


@pytest.mark.slow
def test_a_portable_export_passes(portable, tmp_path):
    assert [*faults_of_files(portable, has_weights=True), *faults_of_version(portable, released=())] == []
    verify_metadata_offline(portable, tmp_path)
    verify_network(portable)
    bundle = create_workflow(config_file=str(configuration_of(portable)), workflow_type="infer", logging_file=False)
    assert bundle.check_properties() == []
    assert required_without_value(bundle, InferProperties) == []
    state = torch.load(portable / WEIGHTS, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    if portable.name == EMOTIONS.name:  # the network takes multiples of 32, its program one size
        assert documented(portable)[0]["spatial_shape"] == [32, 32]
    else:  # a program of torch.export is not to be had as TorchScript
        ckpt_export(
            net_id="network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(portable / WEIGHTS),
            meta_file=str(portable / "configs" / "metadata.json"), config_file=str(configuration_of(portable)),
            bundle_root=str(portable),
        )  # fmt: skip
        image = torch.rand(1, 1, 32, 32)
        network = bundle.network_def
        network.load_state_dict(state)
        with torch.no_grad():
            again = torch.jit.load(tmp_path / "model.ts")(image)
            torch.testing.assert_close(again, network.eval().cpu()(image))
