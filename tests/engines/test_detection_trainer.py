"""Training of detectors: what a step does with the losses of a list of images, and what stops it."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events
from toy_detector import CASES, ToyDetector, ToyObjects, detection_trainer, weights

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import DetectionTrainer, NonFiniteLossError, RunFolder
from monai_seg.engines.detection import NonFiniteImageError
from monai_seg.handlers import Checkpoints

BATCHES = -(-CASES // 2)


@pytest.mark.parametrize("loss_weights", [{}, {"box": 3.0}], ids=["plain", "weighted"])
def test_an_epoch_equals_a_bare_loop(tmp_path, loss_weights):
    trainer = detection_trainer(tmp_path, epochs=2, loss_weights=loss_weights)
    trainer.run()
    reference = ToyDetector().train()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.5)
    cases, sampler = ToyObjects(tmp_path), EpochSampler(CASES)
    for epoch in (1, 2):
        sampler.set_position(epoch)
        order = [cases[key] for key in sampler]
        for first in range(0, len(order), 2):
            batch = order[first : first + 2]
            optimizer.zero_grad()
            losses = reference([sample["image"].as_tensor() for sample in batch], batch)
            (loss_weights.get("box", 1.0) * losses["box"] + losses["score"]).backward()
            optimizer.step()
    wanted = torch.cat([parameter.detach().flatten() for parameter in reference.parameters()])
    assert torch.equal(weights(trainer), wanted)


def test_losses_are_there_term_by_term_beside_their_sum(tmp_path):
    seen = []
    trainer = detection_trainer(tmp_path, loss_weights={"score": 0.5}, max_gradient_norm=1.0)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.output))
    trainer.run()
    assert len(seen) == BATCHES
    for output in seen:
        losses = output["losses"]
        assert list(losses) == ["box", "score"]
        assert not any(value.requires_grad for value in losses.values())
        assert output["loss"].item() == pytest.approx(losses["box"].item() + 0.5 * losses["score"].item())
    assert [len(output["image"]) for output in seen] == [2, 2, 1]


@pytest.mark.parametrize("size", [1, 2, 3], ids=["one by one", "even", "with a rest"])
@pytest.mark.parametrize("limit", [0.0, 0.05], ids=["free", "clipped"])
def test_parts_of_a_batch_teach_what_the_batch_teaches(tmp_path, size, limit):
    """The gradients of the parts are summed, and clipped once: equal but for the order of a sum."""
    whole = detection_trainer(tmp_path, epochs=3, batch_size=4, max_gradient_norm=limit)
    parts = detection_trainer(tmp_path, epochs=3, batch_size=4, max_gradient_norm=limit, micro_batch_size=size)
    losses = ([], [])
    for trainer, seen in zip((whole, parts), losses, strict=True):
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda e, s=seen: s.append(e.state.output["loss"].item()))
        trainer.run()
    assert not torch.equal(weights(whole), weights(detection_trainer(tmp_path)))
    assert torch.allclose(weights(whole), weights(parts), rtol=0, atol=1e-6)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_part_is_all_that_the_network_sees_at_once(tmp_path):
    counts = []
    trainer = detection_trainer(tmp_path, batch_size=4, micro_batch_size=3)
    trainer.network.register_forward_pre_hook(lambda module, inputs: counts.append(len(inputs[0])))
    trainer.run()
    assert counts == [3, 1, 1]


class Killed(BaseException):
    """Stands for a kill: nothing is tidied up after it."""


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("stopped_after", [1, BATCHES, BATCHES + 2])
def test_a_run_that_goes_on_ends_with_the_same_bits(tmp_path, stopped_after):
    """Dropout and order are counted, so nothing else is to be restored."""

    def ready(name: str, resume: bool = False) -> DetectionTrainer:
        folder = RunFolder(tmp_path / "bundle", run_dir=tmp_path / name, resume=resume)
        trainer = detection_trainer(tmp_path, epochs=3, network=ToyDetector(dropout=0.5), micro_batch_size=1)
        state = {"model": trainer.network, "optimizer": trainer.optimizer}
        checkpoints = Checkpoints(state, folder, Engine(lambda engine, batch: None), save_interval_s=0.0)
        checkpoints.attach(trainer)
        checkpoints.restore(trainer)
        return trainer

    whole, stopped = ready("whole"), ready("stopped")
    whole.run()
    stopped.add_event_handler(Events.ITERATION_COMPLETED(once=stopped_after), kill)
    with pytest.raises(Killed):
        stopped.run()
    assert not torch.equal(weights(stopped), weights(whole))
    resumed = ready("stopped", resume=True)
    resumed.run()
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize(("size", "named"), [(0, 2), (1, 1)], ids=["the batch", "the part of it"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change_and_names_the_files(tmp_path, size, named):
    trainer = detection_trainer(tmp_path, micro_batch_size=size)
    before, calls = weights(trainer), []

    def broken(module, inputs, losses):
        calls.append(1)
        return losses | {"box": losses["box"] * float("nan")}

    trainer.network.register_forward_hook(broken)
    with pytest.raises(NonFiniteLossError, match="the loss is nan in epoch 1, iteration 1") as caught:
        trainer.run()
    assert torch.equal(weights(trainer), before)
    assert str(caught.value).count(".png") == named
    assert len(calls) == 1


class BrokenImage(ToyObjects):
    """Like an image that a transform divided by its own standard deviation, which was 0."""

    def __getitem__(self, key):
        sample = super().__getitem__(key)
        if (key[1] if isinstance(key, tuple) else key) == 3:
            sample["image"][0, 0, 0] = float("nan")
        return sample


def test_an_image_that_is_not_finite_is_named_and_nothing_else(tmp_path):
    trainer = detection_trainer(tmp_path)
    trainer.data_loader.dataset.__class__ = BrokenImage
    with pytest.raises(NonFiniteImageError, match=r"case_3\.png holds NaN or infinite values\n  mend") as caught:
        trainer.run()
    assert str(caught.value).count(".png") == 1
    assert torch.isfinite(weights(trainer)).all()


def test_a_weight_of_no_loss_is_refused(tmp_path):
    with pytest.raises(ValueError, match="loss_weights name masks; the losses are box, score"):
        detection_trainer(tmp_path, loss_weights={"masks": 2.0}).run()


def test_a_part_of_less_than_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="micro_batch_size is -1; give 1 or more images, or 0"):
        detection_trainer(tmp_path, micro_batch_size=-1)


def test_lower_precision_reaches_the_network_and_not_the_losses(tmp_path):
    seen = {}
    trainer = detection_trainer(tmp_path, amp=True)
    trainer.network.layer.register_forward_hook(lambda module, inputs, output: seen.update(network=output.dtype))
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.update(loss=e.state.output["loss"].dtype))
    trainer.run()
    assert seen == {"network": torch.bfloat16, "loss": torch.float32}
