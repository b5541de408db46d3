"""Focal Dice loss: hand-worked values, MONAI's Dice loss as an oracle, gradients, edge cases, deep supervision."""

import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceLoss

from monai_seg.losses import FocalDiceLoss

EXACT = {"smooth_nr": 0.0, "smooth_dr": 0.0}


def masks():
    """Two cases and two classes, whose Dice is 1/2, 1, 2/3 and 0."""
    target = torch.tensor([[[1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 1]]]).float()[:, :, None]
    input = torch.tensor([[[0, 1, 1, 0], [1, 0, 0, 0]], [[1, 0, 0, 0], [1, 0, 0, 0]]]).float()[:, :, None]
    return input, target


VALUES = torch.tensor([[0.5 + 0.25 * 0.25, 0.0], [1 / 3 + 0.25 / 9, 1.25]])


def test_hand_worked_values():
    loss = FocalDiceLoss(reduction="none", **EXACT)(*masks())
    assert loss.shape == (2, 2, 1, 1)
    torch.testing.assert_close(loss[..., 0, 0], VALUES)


@pytest.mark.parametrize(("reduction", "expected"), [("mean", VALUES.mean()), ("sum", VALUES.sum())])
def test_reductions_come_after_the_focal_term(reduction, expected):
    torch.testing.assert_close(FocalDiceLoss(reduction=reduction, **EXACT)(*masks()), expected)


def test_one_dice_for_the_batch():
    # Class 0: overlap 2, sizes 3 and 4, Dice 4/7. Class 1: overlap 1, sizes 2 and 2, Dice 1/2.
    loss = FocalDiceLoss(batch=True, reduction="none", **EXACT)(*masks())
    assert loss.shape == (2, 1, 1)
    assert loss.flatten().tolist() == pytest.approx([3 / 7 + 0.25 * (3 / 7) ** 2, 0.5625])


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"sigmoid": True},
        {"softmax": True, "to_onehot_y": True, "include_background": False},
        {"other_act": torch.sigmoid, "squared_pred": True, "smooth_nr": 1.0, "smooth_dr": 1.0},
    ],
    ids=["sigmoid", "softmax", "other"],
)
def test_dice_is_that_of_monai(options, batch):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    classes = 3 if options.get("to_onehot_y") else 2
    channels = 1 if options.get("to_onehot_y") else 3
    target = torch.randint(0, classes, (2, channels, 5, 6, 4), generator=generator)
    missing = DiceLoss(reduction="none", batch=batch, **options)(logits, target.float())
    loss = FocalDiceLoss(reduction="none", batch=batch, alpha=0.7, gamma=3.0, **options)(logits, target)
    torch.testing.assert_close(loss, missing + 0.7 * missing**3)
    plain = DiceLoss(batch=batch, **options)(logits, target.float())
    torch.testing.assert_close(FocalDiceLoss(alpha=0.0, batch=batch, **options)(logits, target), plain)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradient_is_that_of_finite_differences(reduction, batch, gamma):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 2, (2, 2, 3, 3), generator=generator).double()
    loss = FocalDiceLoss(sigmoid=True, reduction=reduction, batch=batch, gamma=gamma)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
@pytest.mark.parametrize(("prediction", "truth"), [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_empty_and_perfect_masks_have_finite_gradients(prediction, truth, gamma):
    input = torch.full((1, 1, 4, 4), prediction, requires_grad=True)
    loss = FocalDiceLoss(gamma=gamma)(input, torch.full((1, 1, 4, 4), truth))
    loss.backward()
    assert loss.item() == pytest.approx(0.0 if prediction == truth else 1.25, abs=1e-4)
    assert input.grad.isfinite().all()


def test_rounding_below_zero_is_no_nan():
    """A Dice a little above 1 must not meet a broken power."""
    input = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = FocalDiceLoss(gamma=1.5, smooth_nr=1.001e-2, smooth_dr=1e-2)(input, torch.ones(1, 1, 2, 2))
    loss.backward()
    assert loss.item() < 0
    assert loss.isfinite()
    assert input.grad.isfinite().all()


def test_hard_cases_weigh_more_than_in_the_dice_loss():
    input = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone().requires_grad_()
    target = torch.ones(2, 1, 4, 4)
    gradients = [
        torch.autograd.grad(loss(input, target), input)[0][:, 0, 0, 0] for loss in (FocalDiceLoss(), DiceLoss())
    ]
    weight = gradients[0] / gradients[1]
    missing = DiceLoss(reduction="none")(input, target).flatten()
    torch.testing.assert_close(weight, 1 + 0.5 * missing)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_do_not_overflow(dtype):
    logits = torch.full((1, 1, 300, 300), 4.0, dtype=dtype, requires_grad=True)  # sums to more than 65504
    loss = FocalDiceLoss(sigmoid=True)(logits, torch.ones(1, 1, 300, 300, dtype=torch.uint8))
    loss.backward()
    probability = torch.sigmoid(torch.tensor(4.0)).item()
    missing = 1 - 2 * probability / (1 + probability)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(missing + 0.25 * missing**2, rel=1e-3)
    assert logits.grad.isfinite().all()


def test_works_under_deep_supervision():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(1, 2, size, size, generator=generator, requires_grad=True) for size in (8, 4)]
    target = torch.randint(0, 2, (1, 1, 8, 8), generator=generator).float()
    loss = FocalDiceLoss(softmax=True, to_onehot_y=True)
    deep = DeepSupervisionLoss(loss)(logits, target)
    small = torch.nn.functional.interpolate(target, size=(4, 4), mode="nearest-exact")
    torch.testing.assert_close(deep, loss(logits[0], target) + 0.5 * loss(logits[1], small))
    deep.backward()
    assert all(level.grad.abs().sum() > 0 for level in logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.5}, "gamma is 0.5; give 1 or more"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"alpha": -0.1}, "alpha is -0.1; give a weight of 0 or more"),
        ({"reduction": "median"}, "median"),
        ({"sigmoid": True, "softmax": True}, "more than 1 of"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        FocalDiceLoss(**options)
