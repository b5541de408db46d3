"""Classifiers: sizes, gradients, pretrained stems, the kept temperature, export, and several that judge together."""

import copy

import pytest
import torch
from torchvision.models import resnet18

from monai_seg.losses import ClassificationLoss
from monai_seg.networks import Classifier, ClassifierEnsemble, CompactCNN, WeightsMismatchError, make_classifier

SMALL = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "compact")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(3)
    torch.save(resnet18().state_dict(), path)
    return path


@pytest.mark.parametrize("architecture", SMALL)
def test_scores_and_gradients_of_every_weight(architecture):
    network = Classifier(architecture, in_channels=2, num_classes=3, image_size=64)
    scores = network(torch.rand(4, 2, 64, 64))
    assert scores.shape == (4, 3)
    ClassificationLoss([1, 1, 1])(scores, torch.tensor([0, 1, 2, 0])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.head.out_features == 3


def test_the_compact_cnn_is_that_of_the_study():
    network = CompactCNN(1, 5, 224)
    shapes = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert shapes == [
        (32, 1, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3),
        (512, 128 * 14 * 14), (5, 512),
    ]  # fmt: skip
    assert [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)] == [0.3, 0.5]
    assert sum(isinstance(m, torch.nn.MaxPool2d) for m in network.modules()) == 4


@pytest.mark.parametrize("size", [16, 50, 96])
def test_the_compact_cnn_takes_the_size_that_it_is_told_and_others(size):
    network = CompactCNN(1, 3, size).eval()
    assert network(torch.rand(1, 1, size, size)).shape == network(torch.rand(1, 1, 33, 48)).shape == (1, 3)


def test_a_summed_stem_sees_grey_as_the_rgb_network_sees_it(weights):
    of_rgb = resnet18()
    of_rgb.load_state_dict(torch.load(weights))
    grey = torch.rand(2, 1, 40, 40)
    wanted = of_rgb.conv1(grey.repeat(1, 3, 1, 1))
    summed, new = (Classifier(pretrained=weights, stem=stem) for stem in ("summed", "new"))
    assert torch.allclose(summed.network.conv1(grey), wanted, atol=1e-5)
    assert not torch.allclose(new.network.conv1(grey), wanted, atol=1e-2)
    assert torch.equal(new.network.layer4[1].conv2.weight, of_rgb.layer4[1].conv2.weight)


def test_dropout_lies_before_the_linear_layer():
    head = Classifier("resnet18").network.fc
    assert [type(module).__name__ for module in head] == ["Dropout", "Linear"]
    assert (head[0].p, tuple(head[1].weight.shape)) == (0.3, (5, 512))
    assert isinstance(Classifier("resnet18", dropout=0.0).network.fc, torch.nn.Linear)


def test_temperature_is_kept_with_the_weights_and_divides_in_evaluation_alone():
    network = Classifier("compact", num_classes=3, image_size=16).eval()
    image = torch.rand(2, 1, 16, 16)
    before = network(image)
    network.temperature.fill_(2.0)
    assert torch.allclose(network(image), before / 2)
    assert network.state_dict()["temperature"] == 2
    torch.manual_seed(0)
    trained = network.train()(image)
    network.temperature.fill_(7.0)
    torch.manual_seed(0)
    assert torch.equal(network(image), trained)


def test_weights_of_another_size_of_images_are_refused():
    state = Classifier("resnet18", image_size=224).state_dict()
    Classifier("resnet18", image_size=224).load_state_dict(state)
    with pytest.raises(
        WeightsMismatchError, match="trained on images of 224 pixels, image_size is 96; give image_size"
    ):
        copy.deepcopy(Classifier("resnet18", image_size=96)).load_state_dict(state)


def test_an_ensemble_learns_apart_and_averages_probabilities():
    members = [Classifier("compact", num_classes=3, image_size=size) for size in (16, 32)]
    network = ClassifierEnsemble(members)
    image = torch.rand(4, 1, 32, 32)
    scores = network(image)
    assert [each.shape for each in scores] == [(4, 3), (4, 3)]
    loss = ClassificationLoss([1, 1, 1])
    loss(scores[:1], torch.tensor([0, 1, 2, 0])).backward()
    assert all(parameter.grad is None for parameter in members[1].parameters())
    network.eval()
    mean = sum(member(image).softmax(1) for member in members) / 2
    assert torch.allclose(network(image).softmax(1), mean, atol=1e-6)
    assert torch.allclose(network(image), mean.log(), atol=1e-5)


def test_one_or_several_by_name(weights):
    assert make_classifier("compact", image_size=32).architecture == "compact"
    both = make_classifier(["resnet18", "compact"], num_classes=3, image_size=32, pretrained=weights)
    assert [member.architecture for member in both.members] == ["resnet18", "compact"]
    layer = both.members[0].network.layer1[0].conv1.weight
    assert torch.equal(layer, torch.load(weights)["layer1.0.conv1.weight"])


@pytest.mark.parametrize("architecture", ["resnet18", "compact"])
def test_traced_as_run(architecture):
    network = Classifier(architecture, num_classes=3, image_size=32).eval()
    traced = torch.jit.trace(network, torch.rand(1, 1, 32, 32))
    image = torch.rand(3, 1, 32, 32)
    assert torch.allclose(traced(image), network(image), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"architecture": "resnet19"}, "architecture is 'resnet19'; give compact or one of alexnet"),
        ({"architecture": "inception_v3"}, "architecture is 'inception_v3'"),
        ({"architecture": "squeezenet1_0"}, "has no linear layer"),
        ({"in_channels": 0}, "in_channels is 0"),
        ({"num_classes": 1}, "num_classes 1"),
        ({"stem": "random"}, "stem is 'random'; give summed or new"),
        ({"architecture": "compact", "pretrained": "DEFAULT"}, "no pretrained weights of the compact CNN"),
        ({"architecture": "compact", "image_size": 8}, "image_size is 8; give 16"),
    ],
)
def test_what_is_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        Classifier(**settings)


def test_small_images_and_foreign_weights_are_refused(weights):
    with pytest.raises(ValueError, match="an image is 12 x 40 pixels"):
        CompactCNN(1, 3, 32).eval()(torch.rand(1, 1, 12, 40))
    with pytest.raises(WeightsMismatchError, match="mobilenet"):
        Classifier("mobilenet_v3_small", pretrained=weights)
    with pytest.raises(ValueError, match="members is empty"):
        ClassifierEnsemble([])
