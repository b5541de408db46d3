"""The evaluation loop: number format, and each case once."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from toy_run import VALIDATION_CASES


@pytest.mark.parametrize("amp", [True, False])
def test_logits_come_as_float32_and_the_weights_stay(toy, amp):
    run = toy()
    run.evaluator.inferer.dtype = torch.bfloat16 if amp else None
    formats, before = {}, run.weights()
    run.network[0].register_forward_hook(
        lambda module, inputs, output: formats.update(network=output.dtype, mode=module.training)
    )

    def note(engine):
        formats["logits"] = engine.state.output[0]["logits"].dtype
        formats.setdefault("cases", []).append(engine.state.batch[0]["image"].meta["filename_or_obj"])

    run.evaluator.add_event_handler(Events.ITERATION_COMPLETED, note)
    run.evaluator.run()
    assert formats["network"] == (torch.bfloat16 if amp else torch.float32)
    assert formats["logits"] == torch.float32
    assert len(set(formats["cases"])) == len(formats["cases"]) == VALIDATION_CASES
    assert torch.equal(run.weights(), before)
    assert formats["mode"] is False


def test_metrics_bear_their_names_in_order(toy):
    evaluator = toy().evaluator
    assert evaluator.metric_names == ["dice", "loss"]
    evaluator.run()
    assert set(evaluator.state.metrics) == {"dice", "dice_object", "loss"}
    assert 0 <= evaluator.state.metrics["dice"] <= 1
