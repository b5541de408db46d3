"""Mask R-CNN: torchvision's own to the last digits, with MONAI's axes and labels; weights of other classes."""

from __future__ import annotations

import pytest
import torch
from detector_contract import DetectorContract, box_target
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes
from torchvision.ops import FrozenBatchNorm2d

from monai_seg.networks import MaskRCNN, WeightsMismatchError, WeightsUnavailableError
from monai_seg.networks.detector_input import PaddedImages
from monai_seg.networks.roi_align import paste_masks

SIZES, RATIOS = (16, 32, 64, 128, 256), (0.5, 1.0, 2.0)


class TestSmall(DetectorContract):
    size = (64, 96)

    def make(self, **options):
        return MaskRCNN(proposals=20, rois_per_image=16, detections_per_image=10, **options)


def resnet18(**options) -> MaskRCNN:
    return MaskRCNN(in_channels=3, num_classes=2, backbone="resnet18", fpn_channels=256, head_channels=1024,
                    anchor_sizes=SIZES, proposals=100, rois_per_image=32, score_thresh=0.0, detections_per_image=12,
                    **{"norm": "batch", **options})  # fmt: skip


def of_torchvision() -> TorchvisionMaskRCNN:
    """The same network, made by torchvision alone."""
    return TorchvisionMaskRCNN(
        resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=torch.nn.BatchNorm2d,
                            trainable_layers=5),
        3, min_size=64, max_size=96, image_mean=[0.5] * 3, image_std=[0.25] * 3,
        rpn_anchor_generator=AnchorGenerator(tuple((s,) for s in SIZES), (RATIOS,) * 5),
        rpn_pre_nms_top_n_train=200, rpn_pre_nms_top_n_test=200, rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=100, box_batch_size_per_image=32, box_score_thresh=0.0, box_detections_per_img=12,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    ours, theirs = resnet18(), of_torchvision()
    theirs.load_state_dict({k: v for k, v in ours.detector.state_dict().items() if not k.startswith("transform.")})
    return ours, theirs


def test_objects_are_those_of_torchvision(pair):
    ours, theirs = (network.eval() for network in pair)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    theirs.transform.postprocess = lambda result, *_: result  # see the next test
    with torch.inference_mode():
        found, wanted = ours(image)[0], theirs(list(image))[0]
    assert len(found["label"]) == 12
    assert torch.allclose(found["box"][:, [1, 0, 3, 2]], wanted["boxes"], atol=1e-6)
    assert torch.equal(found["label"] + 1, wanted["labels"])
    assert torch.allclose(found["label_scores"], wanted["scores"], atol=1e-6)
    pasted = paste_masks(wanted["masks"][:, 0], wanted["boxes"][:, [1, 0, 3, 2]] + 0.5, (64, 96))
    assert torch.equal(found["mask"], pasted)


def test_masks_lie_where_they_were_annotated():
    """A perfect mask head gives the mask back, where torchvision's pasting makes it larger, and shifts it."""
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(80), indexing="ij")
    disc = (rows - 40.3) ** 2 + (columns - 31.8) ** 2 < 12**2
    box = torch.tensor([[19.3, 27.8, 44.3, 52.8]])  # of torchvision: left, top, right, bottom
    learnt = project_masks_on_boxes(disc[None].float(), box, torch.tensor([0]), 28)[:, None]
    ours = PaddedImages([0.5], [0.25]).eval().postprocess([{"masks": learnt, "boxes": box}], [disc.shape], None)
    theirs = paste_masks_in_image(learnt, box, disc.shape)[:, 0] >= 0.5
    overlap = [float((mask & disc).sum() / (mask | disc).sum()) for mask in (ours[0]["masks"][0].bool(), theirs[0])]
    assert overlap[0] > 0.96
    assert overlap[1] < 0.92
    middle = [each.nonzero().float().mean(dim=0) for each in (ours[0]["masks"][0], disc)]
    assert (middle[0] - middle[1]).abs().max() < 0.1


def test_losses_are_those_of_torchvision(pair):
    ours, theirs = (network.train() for network in pair)
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    target = box_target((4, 10, 30, 80), (20, 8, 60, 40), size=(64, 96), label=1)
    turned = {"boxes": target["box"][:, [1, 0, 3, 2]], "labels": target["label"] + 1, "masks": target["mask"]}
    torch.manual_seed(5)
    torch.rand(2)  # torchvision draws the size of each image, of one
    found = ours(image, [target] * 2)
    torch.manual_seed(5)
    wanted = theirs(list(image), [turned] * 2)
    assert len(found) == len(wanted) == 5
    assert sorted(v.item() for v in found.values()) == pytest.approx(sorted(v.item() for v in wanted.values()), 1e-5)


def test_second_version_of_the_heads_has_the_names_of_torchvision():
    from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

    with torch.device("meta"):
        theirs = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=2)
        ours = MaskRCNN(3, backbone="resnet50", norm="batch", heads="v2", fpn_channels=256, head_channels=1024,
                        anchor_sizes=SIZES)  # fmt: skip
    wanted = {name: value.shape for name, value in theirs.state_dict().items()}
    found = {name: value.shape for name, value in ours.detector.state_dict().items()}
    assert {name: shape for name, shape in found.items() if not name.startswith("transform.")} == wanted


def test_boxes_keep_their_fractions_in_bfloat16(pair):
    """bfloat16 has steps of one pixel from 128 on: 231.9 would be 232."""
    network = pair[0].eval()
    image = torch.rand(1, 3, 64, 320, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        far = network(image)[0]["box"][:, 3]
    far = far[(far > 130) & (far < 319)]
    assert len(far)
    assert (far != far.bfloat16().float()).any()


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory):
    """A state dict as torchvision's detectors for COCO have it: 91 classes, 3 channels."""
    path = tmp_path_factory.mktemp("weights") / "detector.pth"
    torch.manual_seed(3)
    network = MaskRCNN(3, 90, backbone="resnet50", norm="batch", fpn_channels=32, head_channels=16,
                       anchor_sizes=SIZES)  # fmt: skip
    state = network.detector.state_dict()
    torch.save({name: value for name, value in state.items() if not name.startswith("transform.")}, path)
    return path


class TestPretrained:
    def test_detector_for_other_classes_and_channels(self, detector_file):
        network = MaskRCNN(1, 2, backbone="resnet50", norm="frozen_batch", fpn_channels=32, head_channels=16,
                           anchor_sizes=SIZES, pretrained_detector=detector_file)  # fmt: skip
        state, given = network.detector.state_dict(), torch.load(detector_file)
        assert torch.equal(state["rpn.head.bbox_pred.weight"], given["rpn.head.bbox_pred.weight"])
        assert torch.equal(state["roi_heads.mask_head.3.0.weight"], given["roi_heads.mask_head.3.0.weight"])
        stem = "backbone.body.conv1.weight"
        assert torch.allclose(state[stem], given[stem].sum(1, keepdim=True))
        assert state["roi_heads.box_predictor.cls_score.weight"].shape[0] == 3
        assert state["roi_heads.mask_predictor.mask_fcn_logits.weight"].shape[0] == 3
        assert network.detector.transform.image_mean.flatten().tolist() == pytest.approx([0.449], abs=1e-3)
        assert any(isinstance(module, FrozenBatchNorm2d) for module in network.modules())
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.detector.backbone.modules())

    def test_weights_of_another_make_are_refused(self, detector_file):
        with pytest.raises(WeightsMismatchError):
            MaskRCNN(1, backbone="resnet50", norm="batch", anchor_sizes=SIZES, pretrained_detector=detector_file)

    def test_missing_file_says_so(self, tmp_path):
        with pytest.raises(WeightsUnavailableError, match="there is no file of weights"):
            MaskRCNN(1, backbone="resnet18", norm="batch", anchor_sizes=SIZES, pretrained=tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": "v3"}, "heads is 'v3'; give v1 or v2"),
        ({"num_classes": 0}, "num_classes 0; give 1 or more"),
        ({"norm": "layer"}, "norm is 'layer'; give batch, frozen_batch or group"),
        ({"norm": "frozen_batch"}, "the small backbone has no pretrained weights"),
        ({"anchor_sizes": (8, 16)}, "the backbone small has 4 levels"),
        ({"backbone": "vgg"}, "encoder is 'vgg'"),
        ({"backbone": "resnet18", "pretrained": "DEFAULT"}, "pretrained weights belong to batch norm"),
        ({"pretrained_detector": "COCO_V1"}, "give backbone: resnet50 with it"),
    ],
)
def test_an_impossible_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        MaskRCNN(**options)


@pytest.mark.parametrize(("norm", "kind"), [("batch", torch.nn.BatchNorm2d), ("group", torch.nn.GroupNorm)])
def test_norms_of_the_small_backbone(norm, kind):
    """All of them: MONAI's ResNet takes the norm that it is given for the stem alone."""
    body = MaskRCNN(norm=norm, anchor_sizes=SIZES[:4]).detector.backbone.body
    assert {type(module) for module in body.modules() if "Norm" in type(module).__name__} == {kind}


@pytest.mark.parametrize("norm", ["frozen_batch", "group"])
def test_norms_of_a_resnet(norm):
    network = resnet18(norm=norm)
    kinds = {type(module) for module in network.detector.backbone.body.modules() if "Norm" in type(module).__name__}
    assert kinds == {FrozenBatchNorm2d if norm == "frozen_batch" else torch.nn.GroupNorm}


def test_groups_hold_each_trainable_parameter_once():
    network = resnet18(norm="frozen_batch", frozen_stages=2)
    groups = network.parameter_groups(encoder_lr=1e-4, decoder_lr=1e-3)
    assert [group["lr"] for group in groups] == [1e-4, 1e-3]
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}


@pytest.mark.slow
def test_learns_a_few_images():
    torch.manual_seed(0)
    draw, targets, images = torch.Generator().manual_seed(0), [], []
    for _ in range(8):
        low = torch.randint(4, 40, (2,), generator=draw)
        high = low + torch.randint(16, 28, (2,), generator=draw)
        targets.append(box_target((*low.tolist(), *high.tolist()), size=(72, 96)))
        images.append(targets[-1]["mask"].float() * 0.6 + 0.2 * torch.rand(1, 72, 96, generator=draw))
    network = MaskRCNN()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(90):
        optimizer.zero_grad()
        sum(network.train()(images, targets).values()).backward()
        optimizer.step()
    with torch.inference_mode():
        found = network.eval()(images)
    for objects, target in zip(found, targets, strict=True):
        common = (objects["mask"][0] & target["mask"][0]).sum() / (objects["mask"][0] | target["mask"][0]).sum()
        assert common > 0.7
