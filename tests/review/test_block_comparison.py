"""The comparison of foreground shares: by hand, and against scipy on the shares themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hand_worked_scene import BLOCKS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats.contingency import association

from monai_seg.review.block_comparison import ShareBin, compare_blocks, share_bins


def drawn(blocks: int, seed: int = 0, pixels: int = 400) -> np.ndarray:
    """Counts of blocks whose prediction has a little more foreground than the reference."""
    generator = np.random.default_rng(seed)
    share = generator.beta(0.4, 1.5, blocks)
    reference = generator.binomial(pixels, share)
    hit = generator.binomial(reference, 0.9)
    false_alarm = generator.binomial(pixels - reference, 0.04)
    return np.stack([pixels - reference - false_alarm, hit, false_alarm, reference - hit], axis=1)


def shares(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (counts[:, 1] + counts[:, 3]) / counts.sum(1), (counts[:, 1] + counts[:, 2]) / counts.sum(1)


def test_the_hand_worked_scene():
    found = compare_blocks(np.array(BLOCKS))
    # Shares 1/4 and 1/2 in the reference, 5/16 and 1/4 in the prediction.
    assert (found.blocks, found.reference_mean, found.prediction_mean) == (2, 3 / 8, 9 / 32)
    assert found.mean_difference == -3 / 32
    assert (found.ci_low, found.ci_high) == (-1 / 4, 1 / 16)  # both draws of one block alone are within the 95%
    assert (found.ks_distance, found.ks_share) == (0.5, 5 / 16)
    assert (found.differing_blocks, found.rank_biserial) == (2, pytest.approx((1 - 2) / 3))
    assert math.isnan(found.chi_square)  # two blocks fill one bin


@settings(deadline=None, max_examples=15)
@given(st.integers(5, 300), st.integers(0, 1000))
def test_tests_are_those_of_scipy(blocks, seed):
    counts = drawn(blocks, seed)
    found, (reference, prediction) = compare_blocks(counts), shares(counts)
    distance = stats.ks_2samp(reference, prediction, method="asymp")
    assert (found.ks_distance, found.ks_p) == (distance.statistic, distance.pvalue)
    # 400 pixels in each: the differences in pixels have the ranks of those of the shares, without their rounding.
    pairs = stats.wilcoxon((counts[:, 2] - counts[:, 3]).astype(float), zero_method="wilcox")
    assert (found.wilcoxon_statistic, found.wilcoxon_p) == pytest.approx((pairs.statistic, pairs.pvalue))
    assert found.differing_blocks == (reference != prediction).sum()


@settings(deadline=None, max_examples=15)
@given(st.integers(5, 300), st.integers(0, 1000))
def test_chi_square_is_that_of_the_histograms(blocks, seed):
    counts = drawn(blocks, seed)
    found = compare_blocks(counts)
    table = []
    for values in (counts[:, 1] + counts[:, 3], counts[:, 1] + counts[:, 2]):
        below = [0, *((values <= round(each.upto * 400)).sum() for each in found.bins)]
        table.append(np.diff(below))
    assert np.array_equal(table, np.array([(each.reference, each.prediction) for each in found.bins]).T)
    assert found.degrees_of_freedom == len(found.bins) - 1
    if len(found.bins) < 2:
        assert math.isnan(found.cramers_v)
        return
    expected = stats.chi2_contingency(table, correction=False)
    assert expected.expected_freq.min() >= 5
    assert (found.chi_square, found.chi_square_p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.cramers_v == pytest.approx(association(np.array(table), method="cramer"))


def test_bins_are_merged_from_below_and_the_rest_joins_the_last():
    referred = np.array([0] * 12 + [1] * 4 + [50] * 4 + [100])
    predicted = np.array([0] * 9 + [1] * 7 + [50] * 4 + [100])
    # 21 without foreground; 11 of share 0.01; 8 of 0.5 and 2 of 1 are ten together.
    assert share_bins(referred, predicted, np.full(21, 100)) == (
        ShareBin(0.0, 12, 9),
        ShareBin(0.05, 4, 7),
        ShareBin(1.0, 5, 5),
    )
    assert share_bins(referred[:20], predicted[:20], np.full(20, 100))[1:] == (ShareBin(1.0, 8, 11),)


def test_a_share_on_the_edge_of_a_bin_belongs_below_it():
    counts = np.repeat(np.arange(0, 101, 5), 5)  # 0.15 and others are no exact floating-point numbers
    assert [each.reference for each in share_bins(counts, counts, np.full(len(counts), 100))] == [5] * 21


def test_equal_maps_differ_in_nothing():
    counts = np.array([[60, 40, 0, 0]] * 30 + [[100, 0, 0, 0]] * 30)
    found = compare_blocks(counts)
    assert (found.mean_difference, found.ci_low, found.ci_high, found.ks_distance, found.ks_p) == (0, 0, 0, 0, 1)
    assert (found.cramers_v, found.chi_square_p, found.differing_blocks) == (0, 1, 0)
    assert math.isnan(found.wilcoxon_p)
    assert math.isnan(found.rank_biserial)


def test_empty_maps():
    found = compare_blocks(np.array([[100, 0, 0, 0]] * 30))
    assert (found.reference_mean, found.prediction_mean, found.ks_distance) == (0, 0, 0)
    assert found.bins == (ShareBin(1.0, 30, 30),)


def test_a_single_block_has_effects_but_no_tests():
    found = compare_blocks(np.array([[5, 3, 2, 0]]))
    assert (found.mean_difference, found.ks_distance, found.ks_share) == (0.2, 1, 0.3)
    assert [math.isnan(value) for value in (found.ks_p, found.ci_low, found.chi_square_p)] == [True] * 3


def test_only_more_foreground_is_the_strongest_correlation():
    assert compare_blocks(np.array([[50, 40, 10, 0], [90, 0, 10, 0], [55, 40, 5, 0]])).rank_biserial == 1


def test_the_interval_of_the_mean_difference_is_near_that_of_the_normal_distribution():
    counts = drawn(2000)
    differences = np.subtract(*shares(counts)[::-1])
    half = 1.96 * differences.std() / 2000**0.5
    found = compare_blocks(counts)
    wanted = (differences.mean() - half, differences.mean() + half)
    assert (found.ci_low, found.ci_high) == pytest.approx(wanted, abs=0.1 * half)
