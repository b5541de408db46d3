"""The loss of classifiers against PyTorch's and MONAI's, its weights, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import FocalLoss

from monai_seg.losses import ClassificationLoss, class_weights

COUNTS = [194, 15, 1200, 210, 286]


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(40, 5, generator=draw, dtype=torch.float64)
    return scores, torch.randint(0, 5, (40,), generator=draw)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("imbalance", ["none", "sampler", "weighted", "effective"])
def test_as_the_cross_entropy_of_pytorch(batch, imbalance, smoothing):
    scores, target = batch
    weight = class_weights(COUNTS, imbalance).double()
    wanted = F.cross_entropy(scores, target, weight=weight, label_smoothing=smoothing)
    assert ClassificationLoss(COUNTS, imbalance, smoothing)(scores, target) == pytest.approx(wanted.item(), rel=1e-6)


def test_as_the_focal_loss_of_monai(batch):
    scores, target = batch
    one_hot = F.one_hot(target, 5).double()
    wanted = FocalLoss(gamma=2.0, use_softmax=True)(scores, one_hot) * 5  # which averages over the classes too
    assert ClassificationLoss(COUNTS, "focal", gamma=2.0)(scores, target).item() == pytest.approx(wanted.item())
    plain = ClassificationLoss(COUNTS, "focal", gamma=0.0)(scores, target)
    assert plain.item() == pytest.approx(F.cross_entropy(scores, target).item())


def test_shares_of_classes_mix_the_losses(batch):
    scores, target = batch
    loss = ClassificationLoss(COUNTS, "none")
    mixed = 0.3 * F.one_hot(target, 5).double() + 0.7 * F.one_hot(target.flip(0), 5).double()
    wanted = 0.3 * F.cross_entropy(scores, target) + 0.7 * F.cross_entropy(scores, target.flip(0))
    assert loss(scores, mixed).item() == pytest.approx(wanted.item())
    assert loss(scores, F.one_hot(target, 5)).item() == pytest.approx(loss(scores, target).item())


def test_several_networks_are_averaged_and_learn_apart(batch):
    scores, target = batch
    one, two = scores.clone().requires_grad_(), scores.flip(1).clone().requires_grad_()
    loss = ClassificationLoss(COUNTS, "none")
    both = loss([one, two], target)
    assert both.item() == pytest.approx((loss(one, target).item() + loss(two, target).item()) / 2)
    both.backward()
    alone = scores.clone().requires_grad_()
    loss(alone, target).backward()
    assert torch.allclose(2 * one.grad, alone.grad)


def test_weights_by_hand():
    assert class_weights([30, 10], "weighted").tolist() == [0.5, 1.5]
    effective = class_weights(COUNTS, "effective", beta=0.999)
    by_hand = torch.tensor([(1 - 0.999) / (1 - 0.999**count) for count in COUNTS])
    assert torch.allclose(effective, by_hand / by_hand.mean())
    assert effective.max() / effective.min() < max(COUNTS) / min(COUNTS)
    assert torch.allclose(class_weights(COUNTS, "effective", beta=0.0), torch.ones(5))


@pytest.mark.parametrize("certainty", [30.0, 200.0])
def test_certain_cases_have_a_finite_gradient(certainty):
    scores = torch.tensor([[certainty, 0.0]], requires_grad=True)
    for gamma in (0.5, 2.0):
        ClassificationLoss([1, 1], "focal", gamma=gamma)(scores, torch.tensor([0])).backward()
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"imbalance": "wheighted"}, "imbalance is 'wheighted'; give one of none, weighted"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"beta": 1.0}, "beta is 1.0"),
        ({"class_counts": [3, 0], "imbalance": "weighted"}, r"class_counts are \[3, 0\]"),
    ],
)
def test_what_is_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        ClassificationLoss(**{"class_counts": [3, 4], **settings})
