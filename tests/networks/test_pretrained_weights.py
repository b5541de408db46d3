"""Pretrained weights: by name and by file, without a network, and what is said of the wrong ones."""

import argparse
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from monai_seg.networks import (
    ResNet50UNet,
    WeightsMismatchError,
    WeightsUnavailableError,
    load_pretrained,
    read_pretrained,
)
from monai_seg.networks.input_channels import adapt_stem

FILE = "resnet18-f37072fd.pth"
URL = f"https://download.pytorch.org/models/{FILE}"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return resnet18(num_classes=3).state_dict()


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """Torch hub's folder, empty, on a machine without a network."""

    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    return tmp_path / "torch" / "hub" / "checkpoints"


def same(network, state, ignore="fc."):
    mine = network.state_dict()
    return all(torch.equal(mine[key], value) for key, value in state.items() if not key.startswith(ignore))


# By name


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "DEFAULT", "ResNet18_Weights.IMAGENET1K_V1"])
def test_weights_lie_in_the_folder_of_torch_hub(hub, state, name):
    hub.mkdir(parents=True)
    torch.save(state, hub / FILE)
    network = resnet18(num_classes=5)
    weights = load_pretrained(network, name, "resnet18")
    assert same(network, state)
    assert weights.source == "ResNet18_Weights.IMAGENET1K_V1"
    assert (weights.mean, weights.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_weights_are_downloaded_once_and_with_their_checksum(hub, state, monkeypatch):
    asked = []

    def download(url, dst, hash_prefix):
        asked.append((url, Path(dst), hash_prefix))
        torch.save(state, dst)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        read_pretrained("DEFAULT", "resnet18")
    assert asked == [(URL, hub / FILE, "f37072fd")]


def test_without_a_network_the_error_names_url_file_and_folder(hub):
    with pytest.raises(WeightsUnavailableError, match="no route to host") as caught:
        ResNet50UNet(encoder="resnet18", pretrained="IMAGENET1K_V1")
    text = str(caught.value)
    assert f"url    {URL}\n" in text
    assert f"file   {hub / FILE}\n" in text
    assert "give pretrained the path of a local .pth" in text


def test_a_wrong_checksum_leaves_no_file(hub, monkeypatch):
    def wrong(url, dst, hash_prefix):
        raise RuntimeError('invalid hash value (expected "f37072fd", got "00")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", wrong)
    with pytest.raises(WeightsUnavailableError, match="invalid hash value"):
        read_pretrained("DEFAULT", "resnet18")
    assert not (hub / FILE).exists()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("IMAGENET1K_V3", "did you mean 'IMAGENET1K_V2'|did you mean 'IMAGENET1K_V1'"),
        ("ResNet18_Weights.IMAGENET1K_V1", r"for resnet50: did you mean 'ResNet50_Weights\.IMAGENET1K_V1'"),
        ("weights/resnet50", r"give one of these, or the path of a \.pth, \.pt, \.safetensors file"),
    ],
)
def test_unknown_weights_are_told_with_the_known_ones(name, hint):
    with pytest.raises(ValueError, match=hint) as caught:
        read_pretrained(name, "resnet50")
    assert "known  ResNet50_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2" in str(caught.value)


# By file


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_weights_come_from_a_file(tmp_path, state, name):
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    network = resnet18(num_classes=5)
    head = network.fc.weight.clone()
    load_pretrained(network, str(tmp_path / name), "resnet18")
    assert same(network, state)
    assert torch.equal(network.fc.weight, head)


def test_old_files_do_not_count_their_batches(tmp_path, state):
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    network = resnet18()
    load_pretrained(network, tmp_path / "old.pth", "resnet18")
    assert same(network, old)


def test_a_backbone_of_a_detector_takes_the_same_file(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    body = resnet_fpn_backbone(backbone_name="resnet18", weights=None).body  # with frozen batch norm
    load_pretrained(body, tmp_path / "weights.pth", "resnet18")
    assert same(body, {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")})


def test_a_head_of_the_same_size_may_be_kept(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    network = resnet18(num_classes=3)
    load_pretrained(network, tmp_path / "weights.pth", "resnet18", ignore=())
    assert same(network, state, ignore=())


def test_a_grey_file_fits_a_network_for_colour(tmp_path, state):
    torch.save({**state, "conv1.weight": adapt_stem(state["conv1.weight"], 1)}, tmp_path / "grey.pth")
    network = resnet18()
    load_pretrained(network, tmp_path / "grey.pth", "resnet18")
    torch.testing.assert_close(network.conv1.weight.sum(1), state["conv1.weight"].sum(1))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsUnavailableError, match=r"there is no file of weights .*gone\.pth"):
        read_pretrained(tmp_path / "gone.pth", "resnet18")


# The wrong file


def test_weights_of_another_network_are_told_by_name_and_shape(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    network = ResNet50UNet(encoder="resnet34").encoder
    before = network.conv1.weight.clone()
    with pytest.raises(WeightsMismatchError) as caught:
        load_pretrained(network, tmp_path / "weights.pth", "resnet34")
    assert f"{tmp_path / 'weights.pth'} does not fit resnet34" in str(caught.value)
    assert "missing layer1.2.conv1.weight (64, 64, 3, 3); layer1.2.bn1.weight (64,);" in str(caught.value)
    assert torch.equal(network.conv1.weight, before)


def test_a_shape_that_differs_is_told_with_both(tmp_path, state):
    changed = {**state, "layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1), "extra": torch.zeros(2)}
    torch.save(changed, tmp_path / "weights.pth")
    with pytest.raises(WeightsMismatchError) as caught:
        load_pretrained(resnet18(), tmp_path / "weights.pth", "resnet18")
    assert "shapes  layer1.0.conv1.weight is (64, 64, 1, 1), not (64, 64, 3, 3)\n" in str(caught.value)
    assert "foreign extra (2,)\n" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [({"model": {"conv1.weight": torch.zeros(1)}, "epoch": 3}, "the keys model, epoch"), ([1, 2], "class 'list'")],
    ids=["a checkpoint", "a list"],
)
def test_what_is_no_state_dict_is_described(tmp_path, content, found):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsMismatchError, match=found):
        read_pretrained(tmp_path / "weights.pth", "resnet18")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_damaged_file_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>404</html>")
    with pytest.raises(WeightsMismatchError, match=r"cannot be read\n  found  16 bytes"):
        read_pretrained(tmp_path / name, "resnet18")


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"args": argparse.Namespace(lr=1)}, tmp_path / "weights.pth")
    with pytest.raises(WeightsMismatchError, match="holds code, which is never run"):
        read_pretrained(tmp_path / "weights.pth", "resnet18")
