"""Whether reference and prediction have foreground as often: shares of blocks, as distributions and in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from monai_seg.review.block_counts import FP, TN, TP
from monai_seg.review.pixel_measures import interval, resampled_sums

_BINS = 20  # of equal width above 0; blocks without foreground are a bin of their own
_FEWEST_EXPECTED = 5

ASSUMPTIONS = (
    "Read the effect sizes first. With as many blocks as a large scene has, a difference too small to matter is "
    "'significant'.",
    "Blocks of one scene are neighbours, and neighbours are alike: they tell less than as many independent blocks. "
    "This makes every p too small, and every interval too narrow. Larger blocks (--block) lessen it.",
    "Kolmogorov-Smirnov and chi-square take the two samples for independent, but both come from the same blocks. "
    "Where the maps agree, this makes their p too large: a real difference can go unseen. Many equal shares (0, 1) "
    "make the p of Kolmogorov-Smirnov larger still.",
    "The two faults pull in opposite directions by unknown amounts: these p are descriptions, not error rates.",
    "Wilcoxon's test compares each block with itself, which fits the pairing; it needs differences that would be "
    "symmetric about 0 if there were none on the whole, and still takes neighbours for independent.",
)


@dataclass(frozen=True)
class ShareBin:
    """Blocks whose foreground share is above the upper end of the bin before and not above ``upto``."""

    upto: float
    reference: int
    prediction: int


@dataclass(frozen=True)
class BlockComparison:
    """Foreground shares of the blocks in reference and prediction; NaN where undefined.

    Args:
        blocks: how many were compared.
        reference_mean, prediction_mean: mean share.
        mean_difference, ci_low, ci_high: prediction less reference, with the 95% interval.
        ks_distance: largest distance D between the two distribution functions, 0 to 1.
        ks_share: share at which it is reached.
        ks_p: of the two-sample Kolmogorov-Smirnov test.
        cramers_v: strength of the association of map and bin, 0 to 1.
        chi_square, degrees_of_freedom, chi_square_p: of the two histograms; undefined where one bin is left.
        bins: of the histograms, each with five expected blocks or more.
        differing_blocks: blocks whose shares differ.
        rank_biserial: of these, share of rank sum where the prediction has more, less that where it has less, -1 to 1.
        wilcoxon_statistic, wilcoxon_p: of the signed-rank test of these.
    """

    blocks: int
    reference_mean: float
    prediction_mean: float
    mean_difference: float
    ci_low: float
    ci_high: float
    ks_distance: float
    ks_share: float
    ks_p: float
    cramers_v: float
    chi_square: float
    degrees_of_freedom: int
    chi_square_p: float
    bins: tuple[ShareBin, ...]
    differing_blocks: int
    rank_biserial: float
    wilcoxon_statistic: float
    wilcoxon_p: float


def compare_blocks(counts: np.ndarray, seed: int = 0) -> BlockComparison:
    """Compare the foreground shares of blocks; what may be concluded stands in `ASSUMPTIONS`.

    Each block counts the same, also one that the edge of the scene cuts.

    Args:
        counts: see `BlockCounts.counts`.
        seed: of the interval's draws.

    Shape:
        counts ``(R, C, 4)`` or ``(N, 4)``, pixels in the order of `STATES`.

    Source:
        scipy.stats: ks_2samp (asymptotic), chi2_contingency without correction, wilcoxon. Rank-biserial correlation of
        pairs: Kerby 2014.

    Example:
        >>> compare_blocks(np.array([[4, 0, 0, 0], [2, 1, 1, 0], [0, 2, 0, 2]])).mean_difference
        -0.08333333333333333
    """
    blocks = counts.reshape(-1, counts.shape[-1])
    pixels = blocks.sum(axis=1)
    referred, predicted = pixels - blocks[:, TN] - blocks[:, FP], blocks[:, TP] + blocks[:, FP]
    reference, prediction = referred / pixels, predicted / pixels
    # One division per block, so that equal differences are equal numbers and share a rank.
    differences = (predicted - referred) / pixels
    low, high = interval(resampled_sums(differences[:, None], seed=seed)[:, 0] / len(blocks), len(blocks))
    distance, ks_share, ks_p = _largest_distance(reference, prediction)
    bins = share_bins(referred, predicted, pixels)
    chi_square, chi_square_p, cramers_v = _chi_square(bins)
    differing = differences[differences != 0]
    statistic, wilcoxon_p, rank_biserial = _signed_ranks(differing)
    return BlockComparison(
        len(blocks),
        float(reference.mean()),
        float(prediction.mean()),
        float(differences.mean()),
        low,
        high,
        distance,
        ks_share,
        ks_p,
        cramers_v,
        chi_square,
        len(bins) - 1,
        chi_square_p,
        bins,
        len(differing),
        rank_biserial,
        statistic,
        wilcoxon_p,
    )


def share_bins(referred: np.ndarray, predicted: np.ndarray, pixels: np.ndarray) -> tuple[ShareBin, ...]:
    """Histogram of the shares of both maps: none, then steps of 0.05, merged until five are expected in each.

    Both maps have as many blocks, so that half of a bin's blocks are expected in each. Bins are merged from below; what
    is left over at the end joins the last one.

    Args:
        referred, predicted: foreground pixels of each block.
        pixels: of each block.
    """
    # In whole numbers a share on the edge of a bin falls into it whatever the rounding.
    heights = [np.bincount(-(-_BINS * count // pixels), minlength=_BINS + 1) for count in (referred, predicted)]
    bins: list[ShareBin] = []
    waiting = np.zeros(2, int)
    for number in range(_BINS + 1):
        waiting += [height[number] for height in heights]
        if waiting.sum() >= 2 * _FEWEST_EXPECTED:
            bins.append(ShareBin(number / _BINS, int(waiting[0]), int(waiting[1])))
            waiting[:] = 0
    last = bins.pop() if bins else ShareBin(1.0, 0, 0)
    return (*bins, ShareBin(1.0, last.reference + int(waiting[0]), last.prediction + int(waiting[1])))


def _largest_distance(reference: np.ndarray, prediction: np.ndarray) -> tuple[float, float, float]:
    """Distance of the distribution functions, the share at which it is, and p; a single block has no p."""
    # The exact form is exact for shares without ties only, and gives up with a warning where it cannot be computed.
    found = stats.ks_2samp(reference, prediction, method="asymp" if len(reference) > 1 else "exact")
    p = float(found.pvalue) if len(reference) > 1 else float("nan")
    return float(found.statistic), float(found.statistic_location), p


def _chi_square(bins: tuple[ShareBin, ...]) -> tuple[float, float, float]:
    """Statistic, p and Cramer's V; NaN where there is but one bin."""
    if len(bins) < 2:
        return float("nan"), float("nan"), float("nan")
    table = np.array([[each.reference for each in bins], [each.prediction for each in bins]])
    result = stats.chi2_contingency(table, correction=False)
    return float(result.statistic), float(result.pvalue), float((result.statistic / table.sum()) ** 0.5)


def _signed_ranks(differing: np.ndarray) -> tuple[float, float, float]:
    """Statistic and p of Wilcoxon's test, and the rank-biserial correlation; NaN where nothing differs."""
    if not len(differing):
        return float("nan"), float("nan"), float("nan")
    result, ranks = stats.wilcoxon(differing), stats.rankdata(np.abs(differing))
    return float(result.statistic), float(result.pvalue), float((np.sign(differing) * ranks).sum() / ranks.sum())
