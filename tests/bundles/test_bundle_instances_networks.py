"""The bundle of instances with another network by one override, from training to found objects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_helpers import load, trained_and_evaluated

OF_MASK_RCNN_ALONE = ("head_channels", "proposals", "rois_per_image")


@pytest.mark.parametrize("name", ["RetinaNet", "RetinaMask"])
def test_one_override_changes_the_network(instances, name, tmp_path):
    kept = {k: v for k, v in instances.overrides.items() if not k.endswith(OF_MASK_RCNN_ALONE)}
    kept["network_def#_target_"] = f"monai_seg.networks.{name}"
    done = trained_and_evaluated(replace(instances, overrides=kept), Path(tmp_path))
    weights = load(done.path / "checkpoints" / "best.pt")["model"]
    assert any(key.startswith("detector.network.regression_head") for key in weights)
    assert any(key.startswith("mask_head") for key in weights) == (name == "RetinaMask")
    content = json.loads((done.path / "predictions" / "results.json").read_text())
    assert content["results"]
    assert all(("segmentation" in each) == (name == "RetinaMask") for each in content["results"])
    assert json.loads((done.path / "metrics" / "summary.json").read_text())["ap50"]["mean"]["mean"] >= 0
