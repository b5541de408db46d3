"""What a metric says where a mask is empty: the one policy of every metric, table and mean in this project.

===========  ============  ============================================================================================
reference    prediction    value
===========  ============  ============================================================================================
not empty    not empty     as computed
empty        not empty     the metric's worst value
not empty    empty         the metric's worst value
empty        empty         undefined: NaN here, an empty cell in a table, left out of the mean, counted in ``n_empty``
===========  ============  ============================================================================================

A missed structure thus always costs, and a structure that is rightly absent never earns (MONAI#9095, MONAI#7504).

===============================================  ======================================================================
metric                                           worst value
===============================================  ======================================================================
Dice, IoU, precision, recall, boundary IoU,      0
surface Dice (NSD)
lesion F1, precision and recall, panoptic        0; what is empty is what holds no component
quality (PQ, SQ, RQ)
Hausdorff distance (HD, HD95), average surface   the image's diagonal, which no distance exceeds, in the unit of the
distance (ASD, ASSD)                             spacing
volume error                                     2: -2 for a missed structure, +2 for one that is not there, if signed
specificity                                      0; it is the recall of what is not of the class, so the policy asks
                                                 whether that is empty: a mask fills the image
accuracy                                         none: it counts what is rightly left out too, and is always defined
===============================================  ======================================================================
"""

from __future__ import annotations

import torch


def apply_empty_policy(
    value: torch.Tensor,
    prediction_empty: torch.Tensor,
    reference_empty: torch.Tensor,
    worst: float | torch.Tensor = 0.0,
) -> torch.Tensor:
    """Replace what cannot be computed by what the policy says.

    Args:
        value: computed values; what stands where a mask is empty does not matter, NaN included.
        prediction_empty: True where the predicted mask has no voxel.
        reference_empty: True where the reference mask has no voxel.
        worst: the metric's worst value.

    Shape:
        all ``(B, C)`` (``worst`` may be a number, or ``(B, 1)``). Gives ``(B, C)`` in the dtype of ``value``.
    """
    # Plain numbers go to the device with the kernel; a tensor made of one would wait for it.
    found = torch.where(prediction_empty ^ reference_empty, worst, value)
    return torch.where(prediction_empty & reference_empty, torch.nan, found).to(value.dtype)
