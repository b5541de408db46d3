"""UNet++: MONAI's network bit for bit, heads that cost what they need, small images, pruning for export."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceLoss
from monai.networks.nets import BasicUNetPlusPlus

from monai_seg.networks import UNetPlusPlus

FEATURES = (4, 4, 8, 8, 16, 4)
HEADS = (1, 2, 3, 4)


def network_of(make, spatial_dims=2, seed=0, **options):
    """With random scales and offsets too, so that a norm in the wrong place shows."""
    torch.manual_seed(seed)
    network = make(spatial_dims=spatial_dims, in_channels=2, features=FEATURES, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def twins(spatial_dims=2, **options):
    """MONAI's network, and ours with its weights but made of other random numbers."""
    theirs = network_of(BasicUNetPlusPlus, spatial_dims, **options)
    ours = network_of(UNetPlusPlus, spatial_dims, seed=1, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def image_of(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    return network_of(UNetPlusPlus, deep_supervision=True).eval()


# MONAI's network


@pytest.mark.parametrize("size", [(32, 48), (37, 50), (16, 33), (16, 32, 16), (21, 17, 35)])
@pytest.mark.parametrize("options", [{}, {"upsample": "nontrainable", "norm": "batch"}], ids=["default", "bilinear"])
def test_all_heads_are_those_of_monai(size, options):
    theirs, ours = twins(len(size), deep_supervision=True, **options)
    image = image_of(2, 2, *size)
    trained = ours(image)
    assert [item.shape[2:] for item in trained] == [size] * 4
    assert all(torch.equal(*pair) for pair in zip(trained, theirs(image)[::-1], strict=True))
    expected = theirs.eval()(image)
    ours.eval()
    for head in HEADS:
        ours.head = head
        assert torch.equal(ours(image), expected[head - 1])


@pytest.mark.parametrize("size", [(32, 48), (21, 17, 35)])
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_without_deep_supervision_there_is_one_tensor(size, mode):
    theirs, ours = twins(len(size))
    image = image_of(1, 2, *size)
    assert torch.equal(ours.train(mode)(image), theirs.train(mode)(image)[0])


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_weights_go_back_to_monai(deep_supervision):
    ours = network_of(UNetPlusPlus, deep_supervision=deep_supervision).eval()
    theirs = network_of(BasicUNetPlusPlus, seed=1).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = image_of(1, 2, 32, 32)
    assert torch.equal(theirs(image)[0], ours(image))


# Training


def test_the_loss_averages_over_the_heads(network):
    image = image_of(2, 2, 32, 32)
    target = (image[:, :1] > 0.5).long()
    plain = DiceLoss(softmax=True, to_onehot_y=True)
    loss = DeepSupervisionLoss(plain, weights=[0.25] * 4)
    alone = []
    for head in HEADS:
        network.head = head
        alone.append(plain(network(image), target))
        assert loss(network(image), target) == alone[-1]
    network.train()
    torch.testing.assert_close(loss(network(image), target), torch.stack(alone).mean())


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_gradient_reaches_every_trainable_parameter(deep_supervision):
    network = network_of(UNetPlusPlus, deep_supervision=deep_supervision)
    outputs = network(image_of(2, 2, 32, 32))
    sum(item.square().mean() for item in (outputs if deep_supervision else [outputs])).backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    heads = {f"final_conv_0_{head}.{kind}" for head in (1, 2, 3) for kind in ("weight", "bias")}
    assert without == frozen == (set() if deep_supervision else heads)


# Heads


@pytest.mark.parametrize(("head", "n_nodes"), [(1, 3), (2, 6), (3, 10), (4, 15)])
def test_a_head_computes_its_triangle_of_nodes(network, head, n_nodes):
    network.head = head
    called = []
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    network(image_of(1, 2, 32, 32))
    nodes = [name.rsplit("_", 2) for name in called if not name.startswith("final")]
    assert len(nodes) == len({tuple(node) for node in nodes}) == n_nodes
    assert max(int(row) + int(column) for _, row, column in nodes) == head
    assert [name for name in called if name.startswith("final")] == [f"final_conv_0_{head}"]


@pytest.mark.parametrize("head", HEADS)
def test_a_pruned_network_gives_the_same_with_what_it_needs(network, head):
    network.head = head
    image = image_of(1, 2, 37, 48)
    expected = network(image)
    whole = network.state_dict()
    lean = network.pruned()
    assert not lean.training
    assert torch.equal(lean(image), expected)
    lean.train()(image).mean().backward()
    assert all(parameter.grad is not None for parameter in lean.parameters())
    assert lean.state_dict().keys() == {
        name for name in whole if name.startswith("final_conv_0_" + str(head)) or _diagonal(name) <= head
    }
    assert network.state_dict().keys() == whole.keys()
    if head < 4:
        with pytest.raises(ValueError, match=f"this network has head {head};"):
            lean.head = 4


def _diagonal(name):
    kind, row, column = name.partition(".")[0].rsplit("_", 2)
    return 9 if kind == "final_conv" else int(row) + int(column)


def test_smaller_heads_have_fewer_parameters(network):
    counts = []
    for head in HEADS:
        network.head = head
        counts.append(sum(parameter.numel() for parameter in network.pruned().parameters()))
    assert all(smaller < larger for smaller, larger in pairwise(counts))


# Small images


@pytest.mark.parametrize("size", [(1, 1), (5, 100), (16, 16), (31, 20), (1, 40, 40), (3, 20, 7)])
def test_small_images_are_mirrored_inside(size):
    network = network_of(UNetPlusPlus, len(size), deep_supervision=True)
    image = image_of(1, 2, *size)
    margins = [(-length % 32 // 2, -length % 32 - -length % 32 // 2) for length in size]
    padded = torch.from_numpy(np.pad(image.numpy(), [(0, 0), (0, 0), *margins], mode="symmetric"))
    window = (..., *(slice(before, before + length) for (before, _), length in zip(margins, size, strict=True)))
    for mine, whole in zip(network(image), network(padded), strict=True):
        assert torch.equal(mine, whole[window])
    trained = network(image)
    network.eval()
    for head in HEADS:
        network.head = head
        assert torch.equal(network(image), trained[4 - head])


# Exporting


def test_export_gives_the_same(network):
    network.head = 2
    image = image_of(1, 2, 48, 64)
    exported = torch.export.export(network.pruned(), (image,)).module()
    torch.testing.assert_close(exported(image), network(image))


# What it refuses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 1}, r"spatial_dims is 1; give 2 or 3"),
        ({"head": 2}, r"head is 2; this network has head 4; to choose among heads, train them all with deep_superv"),
        ({"head": 0, "deep_supervision": True}, r"head is 0; this network has head 1 or 2 or 3 or 4$"),
    ],
)
def test_an_impossible_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        UNetPlusPlus(**{"features": FEATURES, **options})


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (2, 32, 32), (1, 2, 32, 32, 32)], ids=["grey", "no batch", "3D"])
def test_an_image_of_another_shape_is_named(network, shape):
    with pytest.raises(ValueError, match=r"the network takes \(batch, 2, height, width\)"):
        network(torch.zeros(shape))
