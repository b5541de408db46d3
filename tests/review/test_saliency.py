"""Saliency: it finds what decides, forgets it with the weights, and leaves the network as it was."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from monai_seg.networks import Classifier, ClassifierEnsemble
from monai_seg.review import MissingExtraError, saliency_map
from monai_seg.review.explanation import overlaid
from monai_seg.review.saliency import METHODS, _last_detailed

SIDE = 32
PLACES = ((4, 4), (4, 20), (20, 12))


def images(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a bright square whose place tells the class."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(PLACES)
    pictures = 0.3 * torch.randn(count, 1, SIDE, SIDE, generator=draw)
    for picture, label in zip(pictures, labels, strict=True):
        row, column = PLACES[label]
        picture[:, row : row + 8, column : column + 8] += 2
    return pictures, labels


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    network = Classifier("compact", num_classes=len(PLACES), image_size=SIDE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for step in range(25):
        pictures, labels = images(24, seed=step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pictures), labels).backward()
        optimizer.step()
    network.eval()
    pictures, labels = images(24, seed=99)
    assert (network(pictures).argmax(1) == labels).all()
    return network


def inside_and_outside(values: torch.Tensor, label: int) -> tuple[float, float]:
    row, column = PLACES[label]
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[row : row + 8, column : column + 8] = True
    return float(values[mask].mean()), float(values[~mask].mean())


def needs(method: str) -> None:
    if method == "shapley":
        pytest.importorskip("captum")


@pytest.mark.parametrize("method", METHODS)
def test_what_decides_is_found(network, method):
    needs(method)
    pictures, labels = images(3, seed=5)
    found = []
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        inside, outside = inside_and_outside(saliency_map(network, picture, label, method, parts=4, samples=4), label)
        found.append(inside - outside)
    assert np.mean(found) > 0
    assert sum(each > 0 for each in found) >= 2


def test_occlusion_is_a_fall_of_the_probability(network):
    """Of a grey image MONAI alone takes the sigmoid: hiding what does not matter would change its 'probability' too."""
    picture, label = (each[0] for each in images(3, seed=5))
    values = saliency_map(network, picture, int(label), "occlusion", parts=4)
    assert values.max() <= 1
    assert values.median().abs() < 0.05
    assert values.max() > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_make_another_map(network, method):
    """The sanity check of Adebayo et al. (arXiv:1810.03292): a map that stays tells nothing of the network."""
    needs(method)
    torch.manual_seed(7)
    random = Classifier("compact", num_classes=len(PLACES), image_size=SIDE).eval()
    pictures, labels = images(6, seed=6)
    likeness = []
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        one, two = (
            saliency_map(each, picture, label, method, parts=4, samples=4).flatten() for each in (network, random)
        )
        if one.std() > 0 and two.std() > 0:
            likeness.append(float(torch.corrcoef(torch.stack([one, two]))[0, 1]))
        again = saliency_map(network, picture, label, method, parts=4, samples=4).flatten()
        assert torch.allclose(one, again)
    assert np.mean(likeness or [0.0]) < 0.5


def test_the_network_is_left_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        saliency_map(network, images(1, seed=1)[0][0], 0, "gradcam++")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert all(parameter.grad is None or parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "occlusion"])
def test_other_networks_and_sizes(architecture, method):
    network = Classifier(architecture, in_channels=3, num_classes=4).eval()
    assert saliency_map(network, torch.rand(3, 40, 48), 2, method, parts=3).shape == (40, 48)


def test_an_ensemble_and_an_earlier_layer(network):
    both = ClassifierEnsemble([network, network]).eval()
    picture = images(1, seed=1)[0][0]
    assert saliency_map(both, picture, 0, "gradcam").shape == (SIDE, SIDE)
    early = saliency_map(network, picture, 0, "gradcam", target_layer="network.blocks.1.conv1")
    assert not torch.equal(early, saliency_map(network, picture, 0, "gradcam"))


def test_the_layer_that_is_looked_at_has_detail():
    network = Classifier("resnet18", num_classes=3).eval()
    found = {size: _last_detailed(network, torch.rand(1, 1, size, size)) for size in (32, 96, 224)}
    assert found == {size: f"network.layer{stage}.1.conv2" for size, stage in ((32, 1), (96, 3), (224, 4))}


def test_what_is_refused(network, monkeypatch):
    picture = images(1, seed=1)[0][0]
    with pytest.raises(ValueError, match=r"method is 'lime'; give one of gradcam, gradcam\+\+, occlusion, shapley"):
        saliency_map(network, picture, 0, "lime")
    with pytest.raises(ValueError, match="class_index is 3; the network knows 0 to 2"):
        saliency_map(network, picture, 3)
    with pytest.raises(ValueError, match="target_layer is 'layer9'"):
        saliency_map(network, picture, 0, target_layer="layer9")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match="pip install captum"):
        saliency_map(network, picture, 0, "shapley")


def test_colours_of_for_and_against():
    grey = np.full((2, 2), 100, np.uint8)
    drawn = overlaid(grey, torch.tensor([[1.0, -1.0], [0.0, 0.5]]))
    assert drawn[1, 0].tolist() == [100, 100, 100]
    assert drawn[0, 0, 0] > drawn[0, 0, 2]
    assert drawn[0, 1, 2] > drawn[0, 1, 0]
