"""The table of the empty-case policy, row by row."""

from __future__ import annotations

import math

import pytest
import torch

from monai_seg.metrics import apply_empty_policy


@pytest.mark.parametrize(
    ("prediction_empty", "reference_empty", "expected"),
    [(False, False, "computed"), (False, True, "worst"), (True, False, "worst"), (True, True, "undefined")],
)
@pytest.mark.parametrize("worst", [0.0, 17.5, torch.tensor([[17.5]], dtype=torch.float64)], ids=["0", "17.5", "tensor"])
def test_policy(prediction_empty, reference_empty, expected, worst):
    for computed in (0.25, math.nan, math.inf):
        for dtype in (torch.float32, torch.float64):
            value = torch.tensor([[computed]], dtype=dtype)
            empty = torch.tensor([[prediction_empty]]), torch.tensor([[reference_empty]])
            found = apply_empty_policy(value, *empty, worst)
            assert found.dtype == dtype
            wanted = {"computed": computed, "worst": float(worst), "undefined": math.nan}[expected]
            assert found.item() == pytest.approx(wanted, nan_ok=True)


def test_each_case_and_class_by_itself():
    value = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    prediction_empty = torch.tensor([[False, True], [True, False]])
    reference_empty = torch.tensor([[False, True], [False, True]])
    diagonal = torch.tensor([[5.0], [9.0]])
    found = apply_empty_policy(value, prediction_empty, reference_empty, diagonal)
    assert found.flatten().tolist() == pytest.approx([0.1, math.nan, 9.0, 9.0], nan_ok=True)
