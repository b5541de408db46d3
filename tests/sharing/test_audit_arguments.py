"""Arguments of a stranger's components: plain values of their kind, within bounds."""

from __future__ import annotations

import json
import time

import pytest
from safe_bundle import CONFIGURATION, write

from monai_seg.sharing.audit import Verdict, audit
from monai_seg.sharing.audit.arguments import COMPONENT, wrong_argument
from monai_seg.sharing.audit.registry import COMPONENTS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", [16, 16, 32, 64, 128, 16]),
        ("spatial_size", 256),
        ("roi_size", [48, 64, 48]),
        ("keys", ["image", "mask"]),
        ("norm", ["instance", {"affine": True}]),
        ("act", ["LeakyReLU", {"negative_slope": 0.1, "inplace": True}]),
        ("architecture", ["resnet18", "compact"]),
        ("labels", None),
        ("channel_dim", "no_channel"),
        ("channel_dim", 0),
        ("threshold", 0.5),
        ("argmax", False),
        ("transform", COMPONENT),
        ("transforms", [COMPONENT, COMPONENT]),
    ],
)
def test_plain_values_of_their_kind_are_taken(name, value):
    assert wrong_argument(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", [10**9] * 6),  # terabytes
        ("in_channels", -1),
        ("in_channels", True),
        ("in_channels", 1.5),
        ("spatial_size", [16000, 16000, 16000]),
        ("roi_size", 10**6),
        ("a_min", float("nan")),
        ("a_max", float("inf")),
        ("norm", "os.system"),
        ("act", ["torch.hub.load", {}]),
        ("dtype", "a" * 100),
        ("encoder", "../../secret"),
        ("sigmoid", "yes"),
        ("transform", "os.system"),
        ("spatial_size", COMPONENT),
        ("transforms", [COMPONENT, "print"]),
        ("keys", ["a"] * 1000),
    ],
)
def test_other_values_are_told_what_is_expected(name, value):
    assert wrong_argument(name, value) != ""


def test_each_argument_of_the_registry_has_a_kind():
    """One without would be taken for a place of components, and every value of it be distrusted."""
    places = {"transform", "transforms"}
    for target, names in COMPONENTS.items():
        for name in names - places:
            assert wrong_argument(name, None) == "", (target, name)


def with_argument(folder, **arguments):
    content = json.loads(json.dumps(CONFIGURATION))
    content["network_def"].update(arguments)
    return write(folder, {"configs/inference.json": json.dumps(content).encode()})


def test_a_network_of_terabytes_needs_trust(tmp_path):
    assert audit(with_argument(tmp_path / "usual", features=[4] * 6)).verdict == Verdict.DATA_ONLY
    report = audit(with_argument(tmp_path / "huge", features=[10**9] * 6))
    assert report.verdict == Verdict.NEEDS_TRUST
    assert "may not be given features" in report.findings[0].reason
    assert "expected a whole number from 0 to 8,192" in report.findings[0].reason


def test_aliases_that_mean_billions_of_values_take_no_time(tmp_path):
    levels = [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "lists:\n  - &a0 [1]\n" + "\n".join(levels) + "\nnetwork_def:\n  _target_: monai.networks.nets.BasicUNet\n"
    folder = write(tmp_path / "bundle", {"configs/inference.yaml": (text + "  features: *a29\n").encode()})
    began = time.process_time()
    assert audit(folder).verdict == Verdict.NEEDS_TRUST
    assert time.process_time() - began < 5
