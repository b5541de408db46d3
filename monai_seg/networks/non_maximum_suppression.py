"""Keep the best of boxes that overlap, in 2D and 3D, without a loop over boxes: `non_maximum_suppression`."""

from __future__ import annotations

import torch
from monai.data.box_utils import box_iou

_BLOCK = 2048  # boxes compared with all better ones at once: at most 4096 x 2048 overlaps per step for 10,000 boxes


def non_maximum_suppression(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    labels: torch.Tensor | None = None,
    iou_threshold: float = 0.5,
    block_size: int = _BLOCK,
) -> torch.Tensor:
    """Find the boxes that no better box of their class overlaps.

    A box goes if a better box *that stays* overlaps it by more than the threshold. All boxes are judged at once, and
    again, until nothing changes: after k rounds, at least the k best boxes are judged for good, mostly all after three.
    MONAI's own goes through the boxes one by one.

    Args:
        boxes: in edges.
        scores: higher is better; of equal ones the first is.
        labels: classes, among which boxes do not disturb each other; None: all are of one.
        iou_threshold: overlap above which the worse box goes.
        block_size: boxes that are compared with the better ones at once; bounds the memory, changes nothing else.

    Shape:
        boxes ``(N, 4)`` or ``(N, 6)``, scores and labels ``(N,)``. Gives indices ``(M,)`` int64, the best first.

    Source:
        Equal to ``torchvision.ops.batched_nms`` and to ``monai.data.box_utils.batched_nms``.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    kept = order[:0]
    for block in order.split(block_size):
        beaten = _overlapping(boxes, labels, kept, block, iou_threshold).any(dim=0)
        block = block[~beaten]
        inside = _overlapping(boxes, labels, block, block, iou_threshold).triu(diagonal=1)
        stays = torch.ones(len(block), dtype=torch.bool, device=boxes.device)
        while True:
            judged = ~(inside & stays[:, None]).any(dim=0)
            if torch.equal(judged, stays):
                break
            stays = judged
        kept = torch.cat([kept, block[stays]])
    return kept


def _overlapping(
    boxes: torch.Tensor, labels: torch.Tensor | None, better: torch.Tensor, worse: torch.Tensor, threshold: float
) -> torch.Tensor:
    """Which of the better boxes overlaps which of the worse ones, ``(better, worse)`` bool."""
    if not len(better) or not len(worse):
        return torch.zeros((len(better), len(worse)), dtype=torch.bool, device=boxes.device)
    overlap = box_iou(boxes[better].float(), boxes[worse].float()) > threshold
    return overlap if labels is None else overlap & (labels[better][:, None] == labels[worse])
