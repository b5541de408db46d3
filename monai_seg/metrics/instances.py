"""Instances of a comparison: the connected components of both sides, how they overlap, and which of them match."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_seg.metrics.comparison import Comparison
from monai_seg.metrics.components import find_runs, join_runs, meeting_runs
from monai_seg.metrics.overlap_counts import histogram
from monai_seg.metrics.whole_sums import Values, whole_sums


@dataclass(frozen=True)
class Instances:
    """Predicted and reference instances of a batch, numbered together, and the pairs of one class that overlap.

    Attributes:
        cell: case and class of each instance, ``case * C + class``, ``(K,)``.
        predicted: which instances are predicted ones.
        prediction, reference: the instances of each overlapping pair, ``(P,)``.
        iou: intersection over union of each pair, float64.
    """

    cell: torch.Tensor
    predicted: torch.Tensor
    prediction: torch.Tensor
    reference: torch.Tensor
    iou: torch.Tensor


@dataclass(frozen=True)
class Matches:
    """What matching found, ``(B, C)``, float64; whole numbers but ``iou``.

    Attributes:
        predicted, referred: instances in the prediction, in the reference.
        right, found: those of the prediction, of the reference that have a partner; equal if it is one to one.
        iou: sum of the IoU of one-to-one matches, else 0.
    """

    predicted: torch.Tensor
    referred: torch.Tensor
    right: torch.Tensor
    found: torch.Tensor
    iou: torch.Tensor


def find_instances(comparison: Comparison, connectivity: int) -> Instances:
    """Connected components of both sides, and how much they overlap.

    Args:
        comparison: the batch.
        connectivity: along how many axes at once touching voxels of an instance may differ.

    Raises:
        ValueError: there is no such connectivity.
    """
    masks = comparison.masks
    maps = len(masks.reference)
    runs = find_runs(torch.cat([masks.prediction, masks.reference]))
    component, count = join_runs(runs, connectivity)
    image = runs.first.div(runs.map_size, rounding_mode="floor")
    cell, size, predicted = component.new_zeros(3, count)
    cell.scatter_(0, component, image % maps * masks.classes + runs.label.long() - 1)
    size.scatter_add_(0, component, runs.last - runs.first + 1)
    predicted.scatter_(0, component, (image < maps).long())

    keys, shared = [], []
    distance = maps * runs.map_size
    for a, b in meeting_runs(runs, int((image < maps).sum()), distance):
        keys.append(component.gather(0, a) * count + component.gather(0, b))
        begin = torch.maximum(runs.first.gather(0, a) + distance, runs.first.gather(0, b))
        shared.append(torch.minimum(runs.last.gather(0, a) + distance, runs.last.gather(0, b)) - begin + 1)
    pair, index = torch.cat(keys).unique(return_inverse=True)
    overlap = torch.zeros_like(pair).scatter_add_(0, index, torch.cat(shared))
    prediction, reference = pair.div(max(count, 1), rounding_mode="floor"), pair % max(count, 1)
    union = size.gather(0, prediction) + size.gather(0, reference) - overlap
    return Instances(cell, predicted.bool(), prediction, reference, overlap.double() / union)


def match_instances(comparison: Comparison, connectivity: int, iou_threshold: float | None) -> Matches:
    """Match predicted and reference instances.

    Args:
        comparison: the batch.
        connectivity: as in `find_instances`.
        iou_threshold: pairs of greater IoU match one to one, where one instance has several, the pair of greatest IoU
            first; None: all pairs that share a voxel match.

    Raises:
        ValueError: there is no such connectivity.
    """
    instances = comparison.once(find_instances, connectivity)
    pairs, iou = torch.stack([instances.prediction, instances.reference]), instances.iou
    if iou_threshold is None:
        iou = torch.zeros_like(iou)
    else:
        kept = iou > iou_threshold
        pairs, iou = pairs[:, kept], iou[kept]
        # From 0.5 on a second partner would need more voxels than the first one leaves.
        if iou_threshold < 0.5:
            kept = _greedy(pairs, iou)
            pairs, iou = pairs[:, kept], iou[kept]
    matched = torch.zeros_like(instances.predicted)
    matched[pairs] = True
    # All counts at once: right and wrong predictions, then found and missed references, of each case and class.
    shape = comparison.masks.batch, comparison.masks.channels
    cells = shape[0] * shape[1]
    kind = 2 * (~instances.predicted).long() + (~matched).long()
    right, wrong, found, missed = histogram(kind * cells + instances.cell, 4 * cells).view(4, *shape).double()
    iou_sum = whole_sums([Values(instances.cell[pairs[1]], iou, largest=1.0)], cells, iou.device).view(shape)
    return Matches(predicted=right + wrong, referred=found + missed, right=right, found=found, iou=iou_sum)


def _greedy(pairs: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Which pairs are taken where the best one is taken, all others of its two instances are struck out, and so on.

    Shape:
        pairs ``(2, P)``, iou ``(P,)``. Gives ``(P,)``, bool.
    """
    rank = torch.empty_like(pairs[0])
    rank[iou.argsort(descending=True, stable=True)] = torch.arange(len(iou), device=iou.device)
    taken = torch.zeros_like(rank, dtype=torch.bool)
    left = torch.arange(len(iou), device=iou.device)
    count = int(pairs.max()) + 1 if len(left) else 0
    while len(left):
        # All pairs that are the best of both their instances at once: one by one, the same would be taken.
        sides, own = pairs[:, left], rank[left]
        best = torch.full((count,), len(iou), device=iou.device)
        best.scatter_reduce_(0, sides.flatten(), own.repeat(2), "amin")
        chosen = (best[sides] == own).all(0)
        taken[left[chosen]] = True
        struck = torch.zeros(count, dtype=torch.bool, device=iou.device)
        struck[sides[:, chosen]] = True
        left = left[~struck[sides].any(0)]
    return taken
