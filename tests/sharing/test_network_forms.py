"""Further forms of a network: each is run by its own runtime, on other batches and sizes than it was made with."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.networks.nets import BasicUNet

from monai_seg.networks import MaskRCNN, ResNet50UNet, UNetPlusPlus, make_classifier
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.further_forms import write_further_forms
from monai_seg.sharing.export.network_program import (
    exported_program,
    largest_difference,
    require,
    run_onnx,
    run_openvino,
    write_onnx,
    write_openvino,
)

FEATURES = (4,) * 6


def is_missing(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return True
    return False


def trained(network: torch.nn.Module, gives: str = "image") -> Any:
    """What an export reads of a trained bundle to write forms of its network."""
    return SimpleNamespace(network=network.eval(), workflow=SimpleNamespace(gives=gives))


def image_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _same_weights_each_time():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def told_difference(line: str) -> float:
    """The number in ``model.onnx (any batch, any size): scores differ by 2e-06 at most``."""
    match = re.search(r"scores differ by (\S+) at most", line)
    assert match is not None
    return float(match[1])


def assert_onnx_does_as_the_network(network: torch.nn.Module, folder: Path, example: torch.Tensor, *others: int) -> str:
    """Write it, and compare on a batch of three, of the example's size and of another one; gives what is told."""
    (told,) = write_further_forms(trained(network), folder, example, ["onnx"])
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    assert told_difference(told) < 1e-4
    for size in (example.shape[2:], others) if others else (example.shape[2:],):
        batch = image_of(3, example.shape[1], *size, seed=1)
        with torch.no_grad():
            own = network(batch)
        found = run_onnx(folder / "model.onnx", batch)
        assert found[0].shape == (own if isinstance(own, torch.Tensor) else own[0]).shape
        assert largest_difference(found, own) < 1e-4
        assert largest_difference(found, run_onnx(folder / "model.onnx", batch + 0.1)) > 1e-6  # it looks at the image
    return told


def test_a_small_network_is_written_for_any_batch_and_size(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(2, 1, 1))
    told = assert_onnx_does_as_the_network(network, tmp_path, image_of(1, 1, 32, 48), 64, 16)
    assert told.startswith("model.onnx (any batch, any size): ")


@pytest.mark.slow
def test_a_classifier_is_written_for_any_batch_of_one_size(tmp_path):
    """The compact one has a layer as long as its image; a longer one does not fit it."""
    network = make_classifier("compact", in_channels=1, num_classes=5, image_size=32)
    told = assert_onnx_does_as_the_network(network, tmp_path, image_of(1, 1, 32, 32))
    assert told.startswith("model.onnx (any batch, one size): ")
    with pytest.raises(Exception, match=r"(?i)invalid dimensions|dimension"):
        run_onnx(tmp_path / "model.onnx", image_of(1, 1, 64, 64))


NETWORKS = {
    "BasicUNet 2D": (lambda: BasicUNet(2, 1, 2, features=FEATURES), (1, 32, 48), (64, 32)),
    "BasicUNet 3D": (lambda: BasicUNet(3, 1, 2, features=FEATURES), (1, 32, 32, 32), (48, 32, 64)),
    "UNetPlusPlus": (lambda: UNetPlusPlus(2, 3, 1, features=FEATURES), (3, 32, 32), (48, 64)),
    "ResNet50UNet": (lambda: ResNet50UNet(3, 1, encoder="resnet18"), (3, 64, 64), (96, 128)),
    "ResNet-18": (lambda: make_classifier("resnet18", 1, 5, 64), (1, 64, 64), (96, 128)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "shape", "other"), NETWORKS.values(), ids=NETWORKS)
def test_onnx_takes_any_batch_and_size(make, shape, other, tmp_path):
    told = assert_onnx_does_as_the_network(make(), tmp_path, image_of(1, *shape), *other)
    assert told.startswith("model.onnx (any batch, any size): ")


@pytest.mark.slow
@pytest.mark.skipif(is_missing("openvino"), reason="OpenVINO is not installed: pip install monai-seg[openvino]")
def test_openvino_does_as_the_network(tmp_path):
    network = BasicUNet(2, 1, 2, features=FEATURES)
    told = write_further_forms(trained(network), tmp_path, image_of(1, 1, 32, 48), ["openvino"])
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.xml", "model.bin"}
    assert [line.split()[0] for line in told] == ["model.onnx", "model.xml"]
    batch = image_of(3, 1, 64, 32, seed=1)
    with torch.no_grad():
        assert largest_difference(run_openvino(tmp_path / "model.xml", batch), network(batch)) < 1e-3


def test_torchscript_is_written_on_request_only_and_does_as_the_network(tmp_path):
    network = make_classifier("compact", in_channels=1, num_classes=5, image_size=32).eval()
    assert write_further_forms(trained(network), tmp_path, image_of(1, 1, 32, 32), []) == []
    assert list(tmp_path.iterdir()) == []
    (told,) = write_further_forms(trained(network), tmp_path, image_of(1, 1, 32, 32), ["torchscript"])
    assert [path.name for path in tmp_path.iterdir()] == ["model.ts"]
    assert told_difference(told) < 1e-6
    batch = image_of(3, 1, 32, 32, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(batch), network(batch))


def test_a_form_that_differs_is_told_and_not_exported(tmp_path, monkeypatch):
    """As one would whose runtime is broken."""
    place = "monai_seg.sharing.export.further_forms"
    monkeypatch.setattr(f"{place}.write_onnx", lambda program, path: None)
    monkeypatch.setattr(f"{place}.run_onnx", lambda path, image: [image + 0.5])
    network = torch.nn.Identity()
    with pytest.raises(ExportError, match=r"model\.onnx differs from the network by 0\.5; it was not exported"):
        write_further_forms(trained(network), tmp_path, image_of(1, 1, 32, 32), ["onnx"])


@pytest.mark.parametrize("form", ["onnx", "openvino", "tensorrt", "torchscript"])
def test_a_detector_is_refused_with_the_reason(form, tmp_path):
    with pytest.raises(ExportError, match=rf"a detector is not to be had as {form}: torch\.export stops at.*\n  mend"):
        write_further_forms(trained(torch.nn.Identity(), "object"), tmp_path, image_of(1, 1, 64, 64), [form])
    assert list(tmp_path.iterdir()) == []


def test_the_reason_is_true(tmp_path):
    """If a detector can ever be followed, the refusal above is to go."""
    detector = MaskRCNN(
        in_channels=1, num_classes=1, norm="group", fpn_channels=8, head_channels=8, proposals=20, score_thresh=0.0
    )
    with pytest.raises(Exception, match=r"."):
        exported_program(detector.eval(), image_of(1, 1, 64, 64))


def test_an_unknown_form_names_the_known_ones(tmp_path):
    with pytest.raises(ExportError, match="caffe is no form of a network; known are onnx, openvino, tensorrt, torchsc"):
        write_further_forms(trained(torch.nn.Identity()), tmp_path, image_of(1, 1, 8, 8), ["onnx", "caffe"])


@pytest.mark.parametrize(
    ("form", "package"),
    [
        ("onnx", "onnx"), ("onnx", "onnxscript"), ("onnx", "onnxruntime"), ("openvino", "openvino"),
        ("tensorrt", "tensorrt"),
    ],
)  # fmt: skip
def test_a_missing_package_is_named_with_how_to_install_it(form, package, tmp_path, monkeypatch):
    known = importlib.import_module

    def absent(name: str, *arguments: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return SimpleNamespace() if name in ("onnx", "onnxscript", "onnxruntime") else known(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", absent)
    expected = rf"{form} needs the package {package}, which is not installed\n  mend   pip install monai-seg\[{form}\]"
    with pytest.raises(ExportError, match=expected):
        require(form)


@pytest.mark.parametrize("write", [write_onnx, write_openvino], ids=["onnx", "openvino"])
def test_without_its_package_nothing_is_written(write, tmp_path, monkeypatch):
    def absent(name: str, *arguments: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ExportError, match=r"pip install monai-seg\["):
        write(None, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
