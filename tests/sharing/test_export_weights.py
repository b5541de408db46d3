"""Weights as safetensors: exactly the network's names, shapes and types, or none of them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from monai_seg.engines.checkpoint import CheckpointError
from monai_seg.inference.weights import find_weights, load_weights


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


def written(path, **changes):
    state = {name: torch.full_like(value, 3) for name, value in network().state_dict().items()}
    state |= changes
    save_file({name: value for name, value in state.items() if value is not None}, path)
    return path


def test_all_weights_are_loaded_for_evaluation(tmp_path):
    found = load_weights(network().train(), written(tmp_path / "model.safetensors"))
    assert not found.training
    assert all((value == 3).all() for value in found.state_dict().values())
    assert len(found.state_dict()) == 7


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"0.bias": None}, ("1 weights differ", "0.bias: found nothing, expected (2,) float32")),
        ({"0.more": torch.zeros(2)}, ("0.more: found (2,) float32, expected nothing",)),
        ({"0.bias": torch.zeros(3)}, ("0.bias: found (3,) float32, expected (2,) float32",)),
        ({"0.bias": torch.zeros(1, 2)}, ("0.bias: found (1, 2) float32",)),
        ({"0.bias": torch.zeros(2).half()}, ("0.bias: found (2,) float16, expected (2,) float32",)),
        ({"1.num_batches_tracked": torch.tensor(0.0)}, ("found () float32, expected () int64",)),
        ({"0.bias": None, "0.Bias": torch.zeros(2)}, ("2 weights differ", "0.Bias: found (2,) float32")),
    ],
)
def test_weights_of_another_network_are_refused_and_leave_it_as_it_was(changes, texts, tmp_path):
    asked = network()
    before = {name: value.clone() for name, value in asked.state_dict().items()}
    with pytest.raises(CheckpointError) as refused:
        load_weights(asked, written(tmp_path / "model.safetensors", **changes))
    for text in (*texts, "mend"):
        assert text in str(refused.value)
    assert all(torch.equal(value, before[name]) for name, value in asked.state_dict().items())


@pytest.mark.parametrize("length", [0, 7, 100])
def test_a_cut_file_is_refused(length, tmp_path):
    path = written(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(network(), path)


def test_a_pickle_by_that_name_is_not_unpickled(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save(network().state_dict(), path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(network(), path)


def test_data_alone_comes_before_a_pickle(tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("model.pt", "model.safetensors"):
        (tmp_path / "models" / name).touch()
    assert find_weights(tmp_path).name == "model.safetensors"
