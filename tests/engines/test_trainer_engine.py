"""The training loop: what a step does, when it stops, what its result depends on."""

from __future__ import annotations

import signal

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from toy_run import TRAINING_CASES, ToyCases

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import Trainer
from monai_seg.engines.trainer import NonFiniteLossError, case_files

BATCHES = -(-TRAINING_CASES // 2)


def small_trainer(folder, loss=None, epochs=1, **options) -> Trainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Conv2d(1, 1, 1)
    cases = ToyCases(folder, TRAINING_CASES)
    loader = DataLoader(cases, batch_size=2, sampler=EpochSampler(len(cases)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    loss = loss or torch.nn.MSELoss()
    return Trainer(torch.device("cpu"), epochs, loader, network, optimizer, loss, **{"amp": False, **options})


def weights(trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])


def test_an_epoch_equals_a_bare_loop(tmp_path):
    trainer = small_trainer(tmp_path, epochs=2)
    reference = torch.nn.Conv2d(1, 1, 1)
    reference.load_state_dict(trainer.network.state_dict())
    trainer.run()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.5)
    cases, sampler = ToyCases(tmp_path, TRAINING_CASES), EpochSampler(TRAINING_CASES)
    for epoch in (1, 2):
        sampler.set_position(epoch)
        order = [cases[key] for key in sampler]
        for first in range(0, len(order), 2):
            images, labels = (
                torch.stack([case[key].as_tensor() for case in order[first : first + 2]]) for key in ("image", "label")
            )
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(reference(images), labels).backward()
            optimizer.step()
    assert torch.equal(weights(trainer), torch.cat([p.detach().flatten() for p in reference.parameters()]))


def test_loss_and_network_see_plain_tensors(tmp_path):
    kinds = set()

    def loss(prediction, reference):
        kinds.update([type(prediction), type(reference)])
        return (prediction - reference).square().mean()

    small_trainer(tmp_path, loss).run()
    assert kinds == {torch.Tensor}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change_and_names_the_cases(tmp_path, value):
    trainer = small_trainer(tmp_path, epochs=3)
    seen = []

    def loss(prediction, reference):
        seen.append(weights(trainer))
        return (prediction - reference).square().mean() * (value if len(seen) == BATCHES + 2 else 1)

    trainer.loss_function = loss
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.run()
    assert torch.equal(weights(trainer), seen[-1])
    assert not torch.equal(seen[-1], seen[-2])
    text = str(caught.value)
    assert f"the loss is {value} in epoch 2, iteration {BATCHES + 2}" in text
    sampler = EpochSampler(TRAINING_CASES)
    sampler.set_position(2)
    expected = [trainer.data_loader.dataset.data[index]["image"] for _, index in list(sampler)[2:4]]
    assert f"batch  {', '.join(expected)}\n" in text


def test_an_error_reaches_the_caller_and_every_handler(toy):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run = toy(loss=lambda prediction, reference: prediction.sum() * float("nan"))
    with pytest.raises(NonFiniteLossError):
        run.train()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_dropout_follows_seed_and_iteration_and_not_the_global_generator(toy):
    results = []
    for disturbance, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(disturbance)
        results.append(toy(name=f"{disturbance}-{seed}", seed=seed).train().weights())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_network_trains_in_training_mode(toy):
    modes = []
    run = toy()
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: modes.append(run.network.training))
    run.train()
    assert modes == [True] * 2 * BATCHES  # validation between the epochs leaves it in evaluation mode


@pytest.mark.parametrize("limit", [0.0, 1e-3])
def test_gradients_are_scaled_down_to_the_limit(tmp_path, limit):
    trainer = small_trainer(tmp_path, max_gradient_norm=limit)
    norms = []

    def note(engine):
        norms.append(torch.cat([p.grad.flatten() for p in engine.network.parameters()]).norm().item())

    trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    trainer.run()
    if limit:
        assert norms == [pytest.approx(limit, rel=1e-3)] * BATCHES
    else:
        assert min(norms) > 0.01


def test_lower_precision_reaches_the_network_and_not_the_loss(tmp_path):
    seen = {}
    trainer = small_trainer(tmp_path, amp=True)
    trainer.network.register_forward_hook(lambda module, inputs, output: seen.update(network=output.dtype))
    plain = trainer.loss_function

    def loss(prediction, reference):
        seen["loss"] = prediction.dtype
        return plain(prediction, reference)

    trainer.loss_function = loss
    trainer.run()
    assert seen == {"network": torch.bfloat16, "loss": torch.float32}
    assert not trainer.loss_scaler.is_enabled()


def test_names_of_a_batch_in_all_its_forms(tmp_path):
    cases = ToyCases(tmp_path, 3)
    names = [record["image"] for record in cases.data]
    (collated,) = DataLoader(cases, batch_size=3)
    assert case_files(collated) == names
    assert case_files([cases[0], cases[2]]) == [names[0], names[2]]
    assert case_files({"image": [cases[0]["image"], cases[1]["image"]]}) == names[:2]
    assert case_files({"image": torch.zeros(2, 1, 4, 4)}) == []


def test_a_step_that_the_compiler_breaks_is_done_again_without_it(toy, caplog):
    def broken(*args, **kwargs):
        raise AssertionError("expected size 8==8, stride 1==64")

    plain, compiled = toy(name="plain"), toy(name="compiled")
    compiled.network._compiled_call_impl = broken
    for run in (plain, compiled):
        run.train()
    assert "goes on without torch.compile" in caplog.text
    for expected, found in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        assert torch.equal(expected, found)
