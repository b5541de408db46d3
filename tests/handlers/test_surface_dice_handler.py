"""SurfaceDice as a handler of a plain Ignite engine: its values, its details, the spacing of each case."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.handlers import from_engine

from monai_seg.handlers import SurfaceDice


def pixel(column: int, width_mm: float = 1.0) -> MetaTensor:
    mask = torch.zeros(1, 5, 9)
    mask[0, 2, column] = 1
    return MetaTensor(mask, affine=torch.diag(torch.tensor([1.0, width_mm, 1.0, 1.0])))


def evaluated(handler: SurfaceDice, batches: list[list[dict]]) -> Engine:
    engine = Engine(lambda engine, batch: batch)
    handler.attach(engine, "nsd")
    engine.run(batches)
    return engine


# Two single pixels three columns apart: at two columns half of the corners agree, at three all do.
@pytest.mark.parametrize("several", [1, 12], ids=["one case a batch", "all in one batch"])
def test_mean_and_details_with_the_spacing_of_each_case(several):
    cases = [{"pred": pixel(1), "label": pixel(4, width)} for width in (1.0, 0.5, 2.0, 4.0) * 3]
    batches = [cases[start : start + several] for start in range(0, 12, several)]
    handler = SurfaceDice([2.0], output_transform=from_engine(["pred", "label"]))
    engine = evaluated(handler, batches)
    expected = [0.5, 1.0, 0.0, 0.0] * 3
    assert engine.state.metric_details["nsd"][:, 0].tolist() == expected
    assert engine.state.metrics["nsd"] == pytest.approx(sum(expected) / 12)


def test_arguments_reach_the_metric():
    handler = SurfaceDice([1.0], reduction="sum", output_transform=from_engine(["pred", "label"]), use_subvoxels=False)
    engine = evaluated(handler, [[{"pred": pixel(1), "label": pixel(2)}] * 2])
    assert handler.metric_fn.kind == "voxels"
    assert engine.state.metrics["nsd"] == 2.0
