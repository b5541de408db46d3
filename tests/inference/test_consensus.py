"""Means of probabilities over networks and views: exact, also where they saturate, and turning with the image."""

from __future__ import annotations

import pytest
import torch

from monai_seg.inference.consensus import Consensus, symmetries


def image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def network(seed: int, axes: int = 2, channels: int = 2) -> torch.nn.Module:
    torch.manual_seed(seed)
    return (torch.nn.Conv2d if axes == 2 else torch.nn.Conv3d)(1, channels, 3, padding=1)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_activation_of_the_result_is_the_mean_of_the_probabilities(activation):
    networks, x = [network(seed) for seed in range(3)], image(2, 1, 6, 5)
    activate = torch.sigmoid if activation == "sigmoid" else lambda logits: logits.softmax(1)
    with torch.no_grad():
        wanted = torch.stack([activate(net(x)) for net in networks]).mean(0)
        torch.testing.assert_close(activate(Consensus(networks, activation)(x)), wanted)


@pytest.mark.parametrize("axes", [2, 3])
def test_every_view_is_another_one_and_is_turned_back(axes):
    x = image(1, 1, *range(3, 3 + axes))
    views = list(symmetries(axes))
    seen = {(tuple(turn(x).shape), *turn(x).flatten().tolist()) for turn, _ in views}
    assert len(seen) == len(views) == 8
    assert all(torch.equal(back(turn(x)), x) for turn, back in views)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_prediction_turns_with_the_image(axes, activation):
    consensus = Consensus([network(0, axes)], activation, test_time_augmentation=True)
    x = image(1, 1, *range(4, 4 + axes))
    with torch.no_grad():
        straight = consensus(x)
        for turn, back in symmetries(axes):
            torch.testing.assert_close(back(consensus(turn(x))), straight)
        assert not torch.allclose(straight, network(0, axes)(x), atol=1e-2)


def test_confident_networks_do_not_overflow():
    def sure(value):
        return lambda x: torch.full_like(x, value)

    x = torch.zeros(1, 1, 2, 2)
    assert Consensus([sure(200.0), sure(100.0)], "sigmoid")(x).max() == pytest.approx(100 + 0.6931, abs=1e-3)
    assert Consensus([sure(200.0), sure(-200.0)], "sigmoid")(x).abs().max() < 1e-4
    both = torch.cat([x, x + 300], dim=1)
    assert Consensus([lambda x: x] * 2, "softmax")(both)[0, :, 0, 0].tolist() == [-300, 0]


def test_one_network_alone_keeps_its_logits():
    net, x = network(0), image(1, 1, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(Consensus([net], "sigmoid")(x), net(x))
    assert list(Consensus([net], "sigmoid").parameters())


@pytest.mark.parametrize(
    ("networks", "activation", "text"), [([], "sigmoid", "at least one network"), ([len], "tanh", "'tanh'")]
)
def test_refusals(networks, activation, text):
    with pytest.raises(ValueError, match=text):
        Consensus(networks, activation)
