"""The average of the weights: its closed form, what is validated and kept, and that a resumed run goes on with it."""

import copy

import pytest
import torch
from ignite.engine import Events
from toy_run import ToyRun

from monai_seg.engines import read_checkpoint
from monai_seg.handlers import WeightAverage


class Steps:
    """Weights after each step of the trainer."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.network = None

    def attach(self, engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep, engine)

    def _keep(self, engine) -> None:
        self.weights.append(copy.deepcopy(engine.network.state_dict()))


def exponential_average(steps, decay: float) -> dict[str, torch.Tensor]:
    """Its definition, step by step in float64: the first step as it is, then ever longer memory."""
    average = {name: value.double() for name, value in steps[0].items()}
    for number, step in enumerate(steps[1:], start=1):
        kept = min(decay, (1 + number) / (10 + number))
        average = {name: kept * average[name] + (1 - kept) * step[name].double() for name in average}
    return average


@pytest.mark.parametrize("decay", [0.3, 0.99], ids=["short memory", "still growing"])
def test_average_is_that_of_its_definition(tmp_path, decay):
    steps = Steps()
    run = ToyRun(tmp_path, average_decay=decay, train_handlers=[steps]).train()
    wanted = exponential_average(steps.weights, decay)
    assert len(steps.weights) == 6
    for name, value in run.average.network.state_dict().items():
        assert torch.allclose(value.double(), wanted[name], atol=1e-6), name
        assert not torch.equal(value, steps.weights[-1][name])


def test_batch_norm_is_averaged_and_its_counter_is_not():
    network = torch.nn.BatchNorm1d(2)
    average = WeightAverage(network, decay=0.5)
    network.running_mean[:] = torch.tensor([1.0, 3.0])
    average._update()
    network.running_mean[:] = torch.tensor([2.0, 5.0])
    network.num_batches_tracked.fill_(7)
    average._update()
    kept = 2 / 11  # of the second step, below the decay
    assert torch.allclose(average.network.running_mean, torch.tensor([2 - kept, 5 - 2 * kept]))
    assert average.network.num_batches_tracked == 7


def test_the_average_is_validated_and_kept_and_training_goes_on_without_it(tmp_path):
    averaged = ToyRun(tmp_path, name="averaged", max_epochs=1, average_decay=0.9).train()
    plain = ToyRun(tmp_path, name="plain", max_epochs=1).train()
    assert torch.equal(averaged.weights(), plain.weights())
    kept = read_checkpoint(averaged.run_folder.best_model)["model"]
    for name, value in averaged.average.network.state_dict().items():
        assert torch.equal(kept[name], value)
        assert not torch.equal(value, averaged.network.state_dict()[name])


def test_without_a_decay_it_is_the_network_itself(tmp_path):
    run = ToyRun(tmp_path).train()
    assert run.average.network is run.network
    assert run.average.state_dict() == {}


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decay_is_refused(decay):
    with pytest.raises(ValueError, match=rf"decay is {decay}; give a share from 0 \(no average\) to below 1"):
        WeightAverage(torch.nn.Linear(1, 1), decay)


def test_a_stopped_run_ends_with_the_same_average(tmp_path):
    class Stop:
        def attach(self, engine) -> None:
            engine.add_event_handler(Events.ITERATION_COMPLETED(once=4), engine.terminate)

    whole = ToyRun(tmp_path, name="whole", average_decay=0.9).train()
    ToyRun(tmp_path, name="stopped", average_decay=0.9, save_interval_s=-1.0, train_handlers=[Stop()]).train()
    resumed = ToyRun(tmp_path, name="stopped", average_decay=0.9, resume=True).train()
    assert resumed.trainer.state.iteration == whole.trainer.state.iteration == 6
    for name, value in whole.average.network.state_dict().items():
        assert torch.equal(resumed.average.network.state_dict()[name], value)
