"""Which weights a bundle predicts with."""

from __future__ import annotations

import pytest
import torch

from monai_seg.engines import CheckpointError, RunFolderError, save_checkpoint
from monai_seg.inference import find_weights, load_weights


@pytest.fixture
def bundle(tmp_path):
    root = tmp_path / "bundles" / "toy_bundle"
    (root / "models").mkdir(parents=True)
    return root


def store(path, value: float = 1.0):
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, value)
    save_checkpoint(path, {"model": network})
    return path


def test_a_named_run_outranks_the_export_which_outranks_the_newest_run(bundle, tmp_path):
    newest = store(tmp_path / "runs" / "toy_bundle" / "20260101-000000" / "checkpoints" / "best.pt")
    assert find_weights(bundle) == newest
    exported = store(bundle / "models" / "model.pt")
    assert find_weights(bundle) == exported
    named = store(tmp_path / "mine" / "checkpoints" / "best.pt")
    assert find_weights(bundle, tmp_path / "mine") == named
    assert find_weights(str(bundle), str(tmp_path / "mine")) == named


def test_a_named_run_without_a_best_model_is_an_error_even_where_there_are_other_weights(bundle, tmp_path):
    store(bundle / "models" / "model.pt")
    with pytest.raises(CheckpointError, match=r"mine holds no checkpoints/best\.pt"):
        find_weights(bundle, tmp_path / "mine")


def test_no_weights_at_all(bundle):
    with pytest.raises(RunFolderError, match=r"no run of toy_bundle has a best\.pt"):
        find_weights(bundle)


def test_weights_come_into_the_network_which_is_ready_to_predict(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Dropout(0.5))
    torch.nn.init.constant_(network[0].weight, 3.0)
    save_checkpoint(tmp_path / "best.pt", {"model": network}, {"epoch": 1})
    other = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Dropout(0.5))
    assert load_weights(other, tmp_path / "best.pt") is other
    assert other[0].weight.item() == 3.0
    assert not any(module.training for module in other.modules())


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"(?s)best\.pt does not fit this bundle's model.*size mismatch"):
        load_weights(torch.nn.Linear(2, 1), store(tmp_path / "best.pt"))
