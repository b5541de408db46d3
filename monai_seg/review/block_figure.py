"""The foreground shares of the blocks as a figure: both distributions, and each block against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_seg.review.block_comparison import BlockComparison
from monai_seg.review.block_counts import FN, FP, TP

_REFERENCE, _PREDICTION = "#0072B2", "#D55E00"  # Okabe and Ito's, which the colour-blind can tell apart


def write_block_figure(path: Path, counts: np.ndarray, size: int, comparison: BlockComparison) -> None:
    """Draw the empirical distribution functions and the scatter of the shares, as PNG.

    Args:
        path: file to write.
        counts: see `BlockCounts.counts`.
        size: side of a block in pixels, for the title.
        comparison: of the same counts.
    """
    # A figure by itself, not one of pyplot's: no window system is asked for, and no state is left behind.
    from matplotlib.figure import Figure

    blocks = counts.reshape(-1, counts.shape[-1])
    pixels = blocks.sum(axis=1)
    reference, prediction = ((blocks[:, TP] + blocks[:, other]) / pixels for other in (FN, FP))
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    # The one above is the thinner one: equal curves are both to be seen.
    left.ecdf(reference, label="reference", color=_REFERENCE, linewidth=3)
    left.ecdf(prediction, label="prediction", color=_PREDICTION, linewidth=1.2)
    at = comparison.ks_share
    ends = [float((shares <= at).mean()) for shares in (reference, prediction)]
    left.plot([at, at], ends, color="black", linestyle=":", label=f"D = {comparison.ks_distance:.3f}")
    left.set(
        xlim=(-0.02, 1.02), ylim=(0, 1.02), xlabel="foreground share of a block", ylabel="share of blocks up to it"
    )
    left.legend(loc="lower right")
    right.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="equal")
    right.scatter(reference, prediction, s=10, alpha=max(0.05, min(0.6, 30 / len(blocks) ** 0.5)), linewidths=0)
    right.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="share in the reference", ylabel="share in the prediction")
    right.set_aspect("equal")
    right.legend(loc="upper left")
    figure.suptitle(f"{len(blocks):,} blocks of {size} x {size} px")
    figure.savefig(path, format="png", dpi=110)
