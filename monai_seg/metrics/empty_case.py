"""What a metric says where a mask is empty: the one policy of every metric, table and mean in this project.

===========  ============  =======================================================================
reference    prediction    value
===========  ============  =======================================================================
not empty    not empty     as computed
empty        not empty     the metric's worst value: 0 for overlap and NSD
not empty    empty         the metric's worst value: 0 for overlap and NSD, image diagonal for HD95
empty        empty         undefined: NaN here, an empty cell in a table, left out of the mean, counted in ``n_empty``
===========  ============  =======================================================================

A missed structure thus always costs, and a structure that is rightly absent never earns (MONAI#9095, MONAI#7504).
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
        all ``(B, C)`` (``worst`` may be a number). Gives ``(B, C)`` in the dtype of ``value``.
    """
    worst_value = torch.as_tensor(worst, dtype=value.dtype, device=value.device)
    value = torch.where(prediction_empty ^ reference_empty, worst_value, value)
    undefined = torch.full((), float("nan"), dtype=value.dtype, device=value.device)
    return torch.where(prediction_empty & reference_empty, undefined, value)
