"""Measures over a scene: by hand, against formulas on whole arrays, empty masks, and intervals against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hand_worked_scene import BLOCKS, MEASURES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_seg.review.pixel_measures import measures, scene_measures


def values(blocks) -> dict[str, float]:
    return {name: each.value for name, each in scene_measures(np.array(blocks), resamples=2).items()}


def test_the_hand_worked_scene():
    assert values(BLOCKS) == pytest.approx(MEASURES, rel=1e-15)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 1), min_size=24, max_size=24), st.lists(st.integers(0, 1), min_size=24, max_size=24))
def test_against_formulas_on_whole_arrays(ones, others):
    reference, prediction = np.array(ones, bool), np.array(others, bool)
    cells = [(~reference & ~prediction), (reference & prediction), (~reference & prediction), (reference & ~prediction)]
    both, either = (reference & prediction).sum(), (reference | prediction).sum()
    neither, all_but_both = (~reference & ~prediction).sum(), (~reference | ~prediction).sum()
    expected = {
        "precision": both / prediction.sum() if prediction.any() else 0 if reference.any() else math.nan,
        "recall": both / reference.sum() if reference.any() else 0 if prediction.any() else math.nan,
        "specificity": neither / (~reference).sum() if (~reference).any() else 0 if all_but_both else math.nan,
        "f1": 2 * both / (reference.sum() + prediction.sum()) if either else math.nan,
        "iou": both / either if either else math.nan,
        "accuracy": (reference == prediction).mean(),
    }
    expected["dice"] = expected["f1"]
    assert values([[cell.sum() for cell in cells]]) == pytest.approx(expected, rel=1e-12, nan_ok=True)


EMPTY = {
    "nothing in either": ([8, 0, 0, 0], {"dice": math.nan, "precision": math.nan, "specificity": 1, "accuracy": 1}),
    "nothing in the reference": ([6, 0, 2, 0], {"dice": 0, "precision": 0, "recall": 0, "iou": 0, "accuracy": 0.75}),
    "nothing in the prediction": ([6, 0, 0, 2], {"dice": 0, "precision": 0, "recall": 0, "specificity": 1}),
    "all in both": ([0, 8, 0, 0], {"dice": 1, "specificity": math.nan, "accuracy": 1}),
}


@pytest.mark.parametrize(("counts", "expected"), EMPTY.values(), ids=EMPTY)
def test_empty_masks_follow_the_policy(counts, expected):
    found = values([counts, counts])
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def blocks_at_random(number: int) -> np.ndarray:
    shares = np.random.default_rng(1).dirichlet((8, 2, 0.5, 0.7), number)
    return np.stack([np.random.default_rng(i).multinomial(100, share) for i, share in enumerate(shares)])


def test_intervals_are_those_of_scipys_bootstrap():
    blocks = blocks_at_random(200)

    def dice(tn, tp, fp, fn, axis):
        return 2 * tp.sum(axis) / (2 * tp + fp + fn).sum(axis)

    expected = stats.bootstrap(
        blocks.T,
        dice,
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    found = scene_measures(blocks)["dice"]
    width = expected.high - expected.low
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected), abs=0.1 * width)


def test_an_interval_needs_two_blocks_and_a_value():
    assert math.isnan(scene_measures(np.array([[4, 1, 1, 1]]))["dice"].ci_low)
    nothing = scene_measures(np.array([[4, 0, 0, 0]] * 5))
    assert math.isnan(nothing["dice"].ci_high)
    assert nothing["accuracy"].ci_high == 1


def test_the_seed_fixes_the_interval():
    blocks = blocks_at_random(20)
    assert scene_measures(blocks, seed=3) == scene_measures(blocks, seed=3)
    assert scene_measures(blocks, seed=3) != scene_measures(blocks, seed=4)


def test_many_scenes_at_once():
    together = measures(np.array([[10, 3, 2, 1], [8, 0, 0, 0]]))
    assert together["iou"].tolist() == pytest.approx([0.5, math.nan], nan_ok=True)
