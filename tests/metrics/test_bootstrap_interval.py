"""The bootstrap interval: closed forms, SciPy's as an oracle, groups drawn whole, undefined values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from monai_seg.metrics import bootstrap_interval

NAN = math.nan


def test_mean_of_zeros_and_ones_follows_the_binomial_distribution():
    low, high = bootstrap_interval(np.repeat([0.0, 1.0], 50), resamples=20_000)
    expected = stats.binom.ppf([0.025, 0.975], 100, 0.5) / 100
    assert [low, high] == pytest.approx(expected, abs=0.011)


def test_agrees_with_scipy_to_within_the_noise_of_the_draws():
    values = np.random.default_rng(1).gamma(2.0, size=40)
    low, high = bootstrap_interval(values, confidence=0.9, resamples=20_000)
    oracle = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    assert [low, high] == pytest.approx(list(oracle), abs=0.03 * (oracle.high - oracle.low))


def test_groups_are_drawn_whole():
    values = np.array([0.1, 0.9, 0.4, 0.7, 0.6])
    alone = bootstrap_interval(values)
    fourfold = np.repeat(values, 4)
    # Four copies of each case say nothing new where they belong together, and shrink the interval where they do not.
    assert bootstrap_interval(fourfold, groups=np.repeat(list("abcde"), 4).tolist()) == pytest.approx(alone)
    low, high = bootstrap_interval(fourfold)
    assert high - low < 0.7 * (alone[1] - alone[0])


def test_names_and_order_of_groups_inside_the_table_do_not_matter():
    values = np.array([0.1, 0.2, 0.8, 0.9])
    interval = bootstrap_interval(values, groups=["p", "p", "q", "q"])
    assert bootstrap_interval(values[[0, 2, 1, 3]], groups=[7, 3, 7, 3]) == pytest.approx(interval)


def test_undefined_values_are_left_out():
    values = np.array([[0.5, NAN], [0.7, 0.2], [NAN, 0.4], [0.9, 0.6]])
    low, high = bootstrap_interval(values)
    means = np.nanmean(values, axis=0)
    assert 0 < low < means.mean() < high < 1
    assert bootstrap_interval(values[:, :1]) == bootstrap_interval(np.column_stack([values[:, 0], [NAN] * 4]))


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.empty((0, 2)), None),
        (np.array([0.5]), None),
        (np.array([0.5, NAN, NAN]), None),
        (np.array([0.5, 0.7]), ["same", "same"]),
        (np.full((3, 2), NAN), None),
    ],
    ids=["no case", "one case", "one value", "one group", "nothing defined"],
)
def test_one_group_says_nothing_of_its_spread(values, groups):
    assert all(math.isnan(end) for end in bootstrap_interval(values, groups))


def test_equal_values_have_no_spread_and_seed_fixes_the_rest():
    assert bootstrap_interval(np.full((4, 2), 0.3)) == pytest.approx((0.3, 0.3))
    values = np.linspace(0, 1, 9)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1, resamples=50) != bootstrap_interval(values, seed=2, resamples=50)


def test_each_row_needs_a_group():
    with pytest.raises(ValueError, match="2 groups for 3 rows; name the group of each"):
        bootstrap_interval(np.array([0.1, 0.2, 0.3]), groups=["p", "q"])


def test_more_confidence_is_wider():
    values = np.linspace(0, 1, 12)
    ends = [bootstrap_interval(values, confidence=share) for share in (0.5, 0.8, 0.95)]
    assert ends[2][0] < ends[1][0] < ends[0][0] < 0.5 < ends[0][1] < ends[1][1] < ends[2][1]
