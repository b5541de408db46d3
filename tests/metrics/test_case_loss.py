"""The loss as a metric: the mean over cases, whatever their size."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss

from monai_seg.metrics import CaseLoss


def absolute(prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return (prediction - reference).abs().mean()


def test_every_case_counts_the_same_however_large():
    metric = CaseLoss(absolute)
    values = metric(
        [torch.full((1, 2, 2), 1.0), torch.full((1, 8, 8), 4.0)], [torch.zeros(1, 2, 2), torch.zeros(1, 8, 8)]
    )
    assert values.tolist() == [[1.0], [4.0]]
    assert metric.aggregate().item() == 2.5


def test_a_batch_is_its_cases():
    draw = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(3, 2, 4, 4, generator=draw), torch.randint(0, 2, (3, 1, 4, 4), generator=draw)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    one_by_one = torch.stack([loss(p[None], r[None]) for p, r in zip(logits, labels, strict=True)])
    torch.testing.assert_close(CaseLoss(loss)(logits, labels)[:, 0], one_by_one)
    torch.testing.assert_close(CaseLoss(loss)(list(logits), list(labels))[:, 0], one_by_one)


def test_unreduced_loss_is_averaged_and_a_missing_label_is_refused():
    metric = CaseLoss(torch.nn.L1Loss(reduction="none"))
    assert metric(torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)).tolist() == [[1.0], [1.0]]
    with pytest.raises(ValueError, match="needs a label map for each prediction"):
        metric(torch.ones(2, 1, 3, 3), None)
