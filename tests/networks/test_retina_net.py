"""RetinaNet and RetinaMask keep what every detector promises, in pictures and in volumes."""

from __future__ import annotations

import pytest
import torch
from detector_contract import DetectorContract, box_target

from monai_seg.networks import RetinaMask, RetinaNet

SIZES_3D = (6, 12, 24, 48)


class TestRetinaNet(DetectorContract):
    size = (64, 96)
    has_masks = False

    def make(self, **options):
        return RetinaNet(detections_per_image=10, fpn_channels=16, **options)


class TestRetinaMask(DetectorContract):
    size = (64, 96)

    def make(self, **options):
        return RetinaMask(detections_per_image=10, fpn_channels=16, **options)


class TestRetinaMaskOfVolumes(DetectorContract):
    size = (24, 32, 40)

    def make(self, **options):
        return RetinaMask(spatial_dims=3, stem_stride=1, detections_per_image=6, fpn_channels=16, anchor_sizes=SIZES_3D,
                          masks_per_batch=4, **options)  # fmt: skip


class TestRetinaNetOfTwoLevels(DetectorContract):
    size = (64, 96)
    has_masks = False

    def make(self, **options):
        return RetinaNet(detections_per_image=10, fpn_channels=16, anchor_sizes=(8, 32), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes 0; give 1 or more"),
        ({"anchor_sizes": ()}, "the backbone small has 4 levels"),
        ({"anchor_sizes": (8, 16, 32, 64, 128)}, "the backbone small has 4 levels"),
        ({"anchor_ratios": [(1.0, 2.0)]}, r"an anchor ratio is \(1.0, 2.0\); give a number in 2D"),
        ({"anchor_ratios": [0.5], "spatial_dims": 3}, "an anchor ratio is 0.5"),
        ({"spatial_dims": 4}, "spatial_dims is 4"),
        ({"backbone": "resnet18", "spatial_dims": 3}, "resnet18 takes pictures"),
        ({"mask_jitter": 0.6}, "mask_jitter 0.6"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RetinaMask(**options)


def test_backbones_of_torchvision_serve_too():
    network = RetinaNet(3, 2, backbone="resnet18", norm="batch", anchor_sizes=(16, 32, 64, 128, 256), fpn_channels=16)
    target = box_target((4, 4, 50, 50), size=(64, 64), label=1)
    losses = network(torch.rand(1, 3, 64, 64), [target])
    assert losses.keys() == {"classification", "box_regression"}
    encoder, decoder = network.parameter_groups(1e-4, 1e-3)
    assert len(encoder["params"]) + len(decoder["params"]) == len(list(network.parameters()))


def test_masks_reach_beyond_boxes_and_are_of_their_class():
    """The widened box is what the mask fills where the head is sure, on each level of the pyramid."""
    torch.manual_seed(0)
    network = RetinaMask(num_classes=2, fpn_channels=8, mask_context=1.5).eval()
    last = network.mask_head[-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([-5.0, 5.0])  # class 0 is nowhere, class 1 everywhere
    box = torch.tensor([[20.0, 20.0, 40.0, 60.0], [8.0, 8.0, 120.0, 120.0]])
    found = [{"box": box, "label": torch.tensor([1, 0]), "label_scores": torch.tensor([0.9, 0.8])}]
    network.detector.found = lambda *_: found
    with torch.inference_mode():
        mask = network(torch.rand(1, 1, 128, 128))[0]["mask"]
    wanted = torch.zeros(128, 128, dtype=torch.uint8)
    wanted[15:45, 10:70] = 1
    assert torch.equal(mask[0], wanted)
    assert not mask[1].any()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_no_norm_looks_at_the_other_images_of_a_batch(spatial_dims):
    """MONAI's ResNet has batch norm in its blocks whatever norm it is asked for."""
    norms = [type(each).__name__ for each in RetinaMask(spatial_dims=spatial_dims).modules()]
    assert norms.count("GroupNorm") > 12
    assert not any("BatchNorm" in name for name in norms)


@pytest.mark.slow
def test_two_objects_are_learnt_by_heart():
    torch.manual_seed(0)
    size = (64, 48)
    target = box_target((8, 6, 30, 22), (36, 12, 54, 44), size=size)
    image = target["mask"].amax(dim=0)[None, None].float() + 0.1 * torch.rand(1, 1, *size)
    network = RetinaMask(fpn_channels=16, anchor_sizes=(16, 32, 64, 128))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        sum(network(image, [target]).values()).backward()
        optimizer.step()
    with torch.inference_mode():
        found = network.eval()(image)[0]
    assert found["label_scores"][1] > 0.5
    for box, mask in zip(target["box"], target["mask"], strict=True):
        nearest = (found["box"][:2] - box).abs().amax(dim=1)
        assert nearest.min() < 2
        own = found["mask"][nearest.argmin()]
        assert (own & mask).sum() / (own | mask).sum() > 0.85
