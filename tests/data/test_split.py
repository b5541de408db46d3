"""The split: groups stay whole, every case is dealt once, shares and strata hold, order does not matter."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_seg.data.split import fold_groups, split_groups

GROUPS = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=120)
SHARES = (0.7, 0.1, 0.2)


@given(GROUPS, st.integers(0, 2**32), st.data())
def test_groups_stay_whole_and_order_does_not_matter(groups, seed, data):
    if len(set(groups)) < 3:
        with pytest.raises(ValueError, match=f"in {len(set(groups))} groups"):
            split_groups(groups, None, SHARES, seed)
        return
    strata = [len(group) for group in groups]
    sections = split_groups(groups, strata, SHARES, seed)
    assert len(sections) == len(groups)
    assert set(sections) == {0, 1, 2}
    where = dict(zip(groups, sections, strict=True))
    assert sections == [where[group] for group in groups]
    order = data.draw(st.permutations(range(len(groups))))
    again = split_groups([groups[i] for i in order], [strata[i] for i in order], SHARES, seed)
    assert again == [sections[i] for i in order]


@given(GROUPS, st.integers(0, 2**32))
def test_shares_hold_to_within_the_largest_group(groups, seed):
    sizes = Counter(groups)
    if len(sizes) < 3:
        return
    sections = Counter(split_groups(groups, None, SHARES, seed))
    for section, share in enumerate(SHARES):
        # A section may have to take one group more so that none is empty.
        assert abs(sections[section] - share * len(groups)) <= 2 * max(sizes.values())


@given(GROUPS, st.integers(2, 7), st.integers(0, 2**32))
def test_folds_are_balanced_to_within_the_largest_group(groups, folds, seed):
    sizes = Counter(groups)
    if len(sizes) < folds:
        with pytest.raises(ValueError, match=f"at least {folds} groups are needed"):
            fold_groups(groups, None, folds, seed)
        return
    counts = Counter(fold_groups(groups, None, folds, seed))
    assert set(counts) == set(range(folds))
    assert max(counts.values()) <= len(groups) / folds + folds * max(sizes.values())


def test_equal_groups_meet_the_shares_exactly():
    assert Counter(split_groups([str(i) for i in range(100)], None, SHARES, 0)) == {0: 70, 1: 10, 2: 20}
    assert Counter(fold_groups([str(i) for i in range(100)], None, 5, 0)) == dict.fromkeys(range(5), 20)


@pytest.mark.parametrize("seed", range(5))
def test_each_stratum_meets_the_shares(seed):
    strata = ["rare"] * 10 + ["common"] * 90
    sections = split_groups([str(i) for i in range(100)], strata, SHARES, seed)
    rare = Counter(sections[:10])
    assert all(abs(rare[section] - share * 10) <= 1 for section, share in enumerate(SHARES))
    folds = Counter(fold_groups([str(i) for i in range(100)], strata, 5, seed)[:10])
    assert all(1 <= folds[fold] <= 3 for fold in range(5))


def test_seed_matters():
    groups = [str(i) for i in range(50)]
    assert split_groups(groups, None, SHARES, 0) == split_groups(groups, None, SHARES, 0)
    assert split_groups(groups, None, SHARES, 0) != split_groups(groups, None, SHARES, 1)


def test_one_more_case_moves_few_others():
    groups = [str(i) for i in range(100)]
    before = split_groups(groups, None, SHARES, 0)
    after = split_groups([*groups, "new"], None, SHARES, 0)[:-1]
    assert sum(one != two for one, two in zip(before, after, strict=True)) <= 2


def test_three_groups_fill_three_sections_even_when_one_is_large():
    assert set(split_groups(["a"] * 98 + ["b", "c"], None, SHARES, 0)) == {0, 1, 2}


def test_section_without_a_share_stays_empty():
    assert set(split_groups(list("abcde"), None, (0.5, 0.0, 0.5), 0)) == {0, 2}


@pytest.mark.parametrize("shares", [(), (0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0)])
def test_impossible_shares(shares):
    with pytest.raises(ValueError, match="give numbers of 0 or more"):
        split_groups(["a", "b"], None, shares, 0)


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="at least 2 are needed"):
        fold_groups(["a", "b"], None, 1, 0)


def test_strata_for_other_cases_are_refused():
    with pytest.raises(ValueError, match="1 strata for 2 cases"):
        split_groups(["a", "b"], ["x"], SHARES, 0)
