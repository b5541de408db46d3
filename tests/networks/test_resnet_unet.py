"""ResNet-U-Net: sizes, the encoder against torchvision's own network, freezing, supervision, export."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceLoss
from torchvision.models import resnet18, resnet50

from monai_seg.networks import ResNet50UNet, ResNetEncoder
from monai_seg.networks.mirror_padding import crop_to, mirror_to_multiple

NARROW = (16, 16, 8, 8, 8)


def small(**options):
    torch.manual_seed(0)
    return ResNet50UNet(encoder="resnet18", decoder_channels=NARROW, **options)


def image_of(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def with_used_batch_norm(network):
    """Statistics and scales as after training, so that a batch norm in the wrong place shows."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network


@pytest.fixture(scope="module")
def network():
    """In evaluation mode; to be left as it is."""
    return with_used_batch_norm(small()).eval()


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(3)
    torch.save(with_used_batch_norm(resnet18(num_classes=7)).state_dict(), path)
    return path


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (31, 33), (32, 32), (65, 127), (200, 1)])
def test_logits_have_the_size_of_the_image(network, size):
    with torch.inference_mode():
        assert network(image_of(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 33), (8, 16), (3, 100)])
@pytest.mark.parametrize("multiple", [1, 8, 32])
def test_padding_is_that_of_numpy_and_is_taken_off_again(size, multiple):
    image = image_of(2, *size)
    margins = [(-length % multiple // 2, -length % multiple - -length % multiple // 2) for length in size]
    padded = mirror_to_multiple(image, multiple)
    assert padded.numpy().tolist() == np.pad(image.numpy(), [(0, 0), *margins], mode="symmetric").tolist()
    assert torch.equal(crop_to(padded, *size, multiple), image)


def test_multiples_of_the_stride_are_not_padded(network):
    image = image_of(1, 3, 64, 96)
    features = network.encoder((image - network.mean) / network.std)
    assert torch.equal(network(image), network.heads[0](network.decoder(features)[0]))


def test_other_sizes_see_the_mirrored_image(network):
    image = image_of(1, 3, 50, 33)
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), (7, 7), (15, 16)], mode="symmetric")
    assert torch.equal(network(image), network(torch.from_numpy(padded))[..., 7:57, 15:48])


# The encoder


@pytest.mark.parametrize(("architecture", "make"), [("resnet18", resnet18), ("resnet50", resnet50)])
def test_features_are_those_of_torchvision(tmp_path, architecture, make):
    theirs = with_used_batch_norm(make(num_classes=7)).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    ours = ResNetEncoder(architecture, pretrained=tmp_path / "weights.pt").eval()
    seen = []
    for module in (theirs.relu, theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        module.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    image = image_of(1, 3, 64, 96)
    with torch.inference_mode():
        scores = theirs(image)
        features = ours(image)
        assert torch.equal(theirs.fc(features[-1].mean((2, 3))), scores)
    assert [feature.shape[1] for feature in features] == list(ours.channels)
    assert [64 // feature.shape[2] for feature in features] == [2, 4, 8, 16, 32]
    assert all(torch.equal(mine, other) for mine, other in zip(features, seen, strict=True))


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_a_stem_of_other_channels_answers_to_grey_as_before(weights_file, channels):
    grey = image_of(1, 1, 64, 64)
    three = ResNetEncoder("resnet18", 3, weights_file).eval()
    other = ResNetEncoder("resnet18", channels, weights_file).eval()
    expected, found = (encoder(grey.expand(1, n, -1, -1)) for encoder, n in ((three, 3), (other, channels)))
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_three_channels_keep_the_stem_as_it_is(weights_file):
    stem = torch.load(weights_file, weights_only=True)["conv1.weight"]
    assert torch.equal(ResNetEncoder("resnet18", 3, weights_file).conv1.weight, stem)


@pytest.mark.parametrize(
    ("channels", "mean", "std"),
    [
        (1, [0.449], [0.226]),
        (3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        (4, [0.485, 0.456, 0.406, 0.485], [0.229, 0.224, 0.225, 0.229]),
    ],
)
def test_the_weights_set_the_normalisation(weights_file, channels, mean, std):
    network = small(in_channels=channels, pretrained=str(weights_file))
    torch.testing.assert_close(network.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(network.std.flatten(), torch.tensor(std))


def test_without_weights_the_normalisation_is_neutral(network):
    assert (network.mean.flatten().tolist(), network.std.flatten().tolist()) == ([0.5] * 3, [0.25] * 3)


# Training


@pytest.mark.parametrize("options", [{}, {"deep_supervision": True, "norm": "group", "in_channels": 4}])
def test_gradient_reaches_every_parameter(options):
    network = small(**options)
    output = network(image_of(2, options.get("in_channels", 3), 40, 64))
    sum(logits.square().mean() for logits in (output if isinstance(output, list) else [output])).backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any() or not parameter.grad.isfinite().all()
    ]
    assert without == []


@pytest.mark.parametrize("stages", [0, 2, 5])
def test_frozen_stages_neither_train_nor_drift(stages):
    network = small(frozen_stages=stages)
    network.eval().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameter_groups(0.1, 0.1))
    network(image_of(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    moved = {key.split(".")[1] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    order = [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]
    assert moved & set().union(*order) == set().union(*order[stages:])
    assert all(parameter.grad is None for parameter in network.encoder.parameters() if not parameter.requires_grad)


@pytest.mark.parametrize("stages", [0, 1, 5])
def test_groups_hold_each_trainable_parameter_once(stages):
    network = small(frozen_stages=stages, deep_supervision=True)
    groups = network.parameter_groups(encoder_lr=1e-4, decoder_lr=1e-3)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters() if parameter.requires_grad)
    assert {id(parameter) for parameter in network.encoder.parameters()}.issuperset(map(id, groups[0]["params"]))
    optimizer = torch.optim.AdamW(groups)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-4, 1e-3]
    network(image_of(2, 3, 32, 64))[0].mean().backward()
    optimizer.step()


def test_deep_supervision_gives_full_size_logits_with_the_finest_first():
    network = with_used_batch_norm(small(deep_supervision=True, out_channels=2))
    image = image_of(2, 3, 45, 70)
    target = (image[:, :1] > 0.5).long()
    logits = network(image)
    assert [tuple(item.shape) for item in logits] == [(2, 2, 45, 70)] * 4
    # Roughness between neighbouring pixels falls with the stride from which they were interpolated.
    rough = [(item.diff(dim=-1).abs().mean() / item.std()).item() for item in logits]
    assert rough == sorted(rough, reverse=True)
    plain = DiceLoss(softmax=True, to_onehot_y=True)
    loss = DeepSupervisionLoss(plain)(logits, target)
    weighted = sum(plain(item, target) / 2**level for level, item in enumerate(logits))
    torch.testing.assert_close(loss, weighted)
    loss.backward()
    assert network.heads[3][1].weight.grad.any()
    network.eval()
    assert network(image).shape == (2, 2, 45, 70)


def test_dropout_acts_in_training_alone():
    network = small(dropout=0.5)
    network(image_of(2, 3, 64, 64))
    image = image_of(2, 3, 64, 64)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("norm", ["instance", "group", ("group", {"num_groups": 2})])
def test_the_other_norms_do_not_look_at_the_rest_of_the_batch(norm):
    network = small(norm=norm, frozen_stages=5)
    images = image_of(2, 3, 32, 32)
    torch.testing.assert_close(network(images)[:1], network(images[:1]), rtol=1e-4, atol=1e-5)


# Storing and exporting


def test_a_checkpoint_holds_all_that_inference_needs(weights_file, monkeypatch):
    trained = small(pretrained=weights_file, deep_supervision=True, in_channels=1)
    state = trained.state_dict()
    monkeypatch.setattr("monai_seg.networks.pretrained.read_pretrained", None)
    fresh = small(deep_supervision=True, in_channels=1, frozen_stages=2)
    assert not torch.equal(fresh.mean, trained.mean)
    fresh.load_state_dict(state, strict=True)
    image = image_of(1, 1, 40, 40)
    assert torch.equal(fresh.eval()(image), trained.eval()(image))


def test_export_takes_images_of_other_sizes(network):
    dynamic = torch.export.Dim.DYNAMIC
    exported = torch.export.export(
        network, (image_of(2, 3, 50, 70),), dynamic_shapes={"image": {0: dynamic, 2: dynamic, 3: dynamic}}
    ).module()
    for shape in [(1, 3, 64, 64), (3, 3, 33, 100), (1, 3, 128, 71)]:
        torch.testing.assert_close(exported(image_of(*shape)), network(image_of(*shape)))


def test_channels_last_gives_the_same(network):
    image = image_of(1, 3, 50, 64)
    expected = network(image)
    other = with_used_batch_norm(small()).eval().to(memory_format=torch.channels_last)
    found = other(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_keeps_the_size(network):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(image_of(1, 3, 33, 31)).shape == (1, 1, 33, 31)


def test_size_of_the_default_network():
    count = sum(parameter.numel() for parameter in ResNet50UNet().parameters())
    assert 30e6 < count < 33e6


def test_the_room_opens_without_a_heavy_import():
    code = "import sys, monai_seg.networks; print({'torch', 'torchvision', 'monai', 'safetensors'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


# What it refuses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet51"}, r"encoder is 'resnet51'; give one of resnet18"),
        ({"in_channels": 0}, r"in_channels is 0; an image has 1 channel or more"),
        ({"out_channels": 0}, r"out_channels is 0; give 1 or more"),
        ({"frozen_stages": 6}, r"frozen_stages is 6; give 0 \(all train\) to 5"),
        ({"dropout": 1.0}, r"dropout is 1\.0; give a share from 0"),
        ({"norm": "layer"}, r"norm is 'layer'; give batch, instance, group"),
        ({"decoder_channels": [64, 32]}, r"decoder_channels is \(64, 32\); give 5 positive numbers"),
    ],
)
def test_an_impossible_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet50UNet(**{"encoder": "resnet18", **options})


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 64, 64)], ids=["grey", "no batch"])
def test_an_image_of_another_shape_is_named(network, shape):
    with pytest.raises(ValueError, match=r"the network takes \(batch, 3, height, width\)"):
        network(torch.zeros(shape))


def test_a_single_small_image_to_train_on_is_refused():
    network = small().train()
    with pytest.raises(ValueError, match="one image of at most 32 x 32 pixels"):
        network(torch.rand(1, 3, 31, 32))
    assert network(torch.rand(2, 3, 31, 32)).shape == (2, 1, 31, 32)
    assert small(frozen_stages=5).train()(torch.rand(1, 3, 32, 32)).shape == (1, 1, 32, 32)
