"""Splits by group, stratified and seeded: a patient, a person or a scene is never on two sides."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Hashable, Sequence

_TIE = 1e-9  # shares such as 0.7 + 0.1 are not exact; a group on the very border must not depend on that


def split_groups(
    groups: Sequence[str], strata: Sequence[Hashable] | None, shares: Sequence[float], seed: int
) -> list[int]:
    """Deal cases into sections so that no group is cut.

    The groups are put in line by a hash of their name, the strata evenly mixed, and the line is cut at the shares.
    So the result depends on names and seed only, not on the order of the cases, and a case that is added later moves
    few others. Each section holds its share of the cases to within the largest group, unless it needs more to hold
    at least one group.

    Args:
        groups: the group of each case.
        strata: the class of each case, or None; a group counts for its commonest class.
        shares: wanted share of each section; they are scaled to a sum of 1. A section with share 0 stays empty.
        seed: another seed gives another split.

    Returns:
        The section of each case, an index into ``shares``.

    Raises:
        ValueError: the shares are not usable, or there are fewer groups than sections.
    """
    if any(not 0 <= share < math.inf for share in shares) or sum(shares) <= 0:
        raise ValueError(f"shares are {tuple(shares)}; give numbers of 0 or more, at least one of them above 0")
    if strata is not None and len(strata) != len(groups):
        raise ValueError(f"{len(strata)} strata for {len(groups)} cases; give one for each case")
    wanted = [section for section, share in enumerate(shares) if share > 0]
    sizes = Counter(groups)
    if len(sizes) < len(wanted):
        raise ValueError(
            f"{len(groups)} cases in {len(sizes)} groups cannot fill {len(wanted)} sections; "
            f"at least {len(wanted)} groups are needed: add data, or group less coarsely"
        )
    line = _line_up(groups, strata, sizes, seed)
    cuts = _cuts([sizes[group] for group in line], [shares[section] for section in wanted])
    section_of = {}
    for section, start, end in zip(wanted, [0, *cuts], [*cuts, len(line)], strict=True):
        section_of.update(dict.fromkeys(line[start:end], section))
    return [section_of[group] for group in groups]


def fold_groups(groups: Sequence[str], strata: Sequence[Hashable] | None, folds: int, seed: int) -> list[int]:
    """Deal cases into folds of about the same size so that no group is cut.

    Args:
        groups: the group of each case.
        strata: the class of each case, or None.
        folds: how many folds.
        seed: another seed gives other folds.

    Returns:
        The fold of each case, from 0.

    Raises:
        ValueError: fewer than 2 folds are asked for, or there are fewer groups than folds.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds; at least 2 are needed, one to validate on and one to train on")
    return split_groups(groups, strata, [1.0] * folds, seed)


def _line_up(groups: Sequence[str], strata: Sequence[Hashable] | None, sizes: Counter[str], seed: int) -> list[str]:
    """Order the groups at random, each stratum spread evenly over the whole line."""
    members: dict[str, list[str]] = {}
    for group, stratum in _commonest(groups, strata).items():
        members.setdefault(stratum, []).append(group)
    place: dict[str, float] = {}
    for stratum, names in members.items():
        names.sort(key=lambda name: _uniform(seed, "group", name))
        total, passed = sum(sizes[name] for name in names), 0
        # Without an offset of its own, every stratum of one group would come to lie in the middle of the line.
        offset = _uniform(seed, "stratum", stratum)
        for name in names:
            place[name] = (passed + offset * sizes[name]) / total
            passed += sizes[name]
    return sorted(place, key=lambda name: (place[name], _uniform(seed, "group", name), name))


def _commonest(groups: Sequence[str], strata: Sequence[Hashable] | None) -> dict[str, str]:
    if strata is None:
        return dict.fromkeys(groups, "")
    votes: dict[str, Counter[str]] = {}
    for group, stratum in zip(groups, strata, strict=True):
        votes.setdefault(group, Counter())[repr(stratum)] += 1
    return {group: min(count, key=lambda name: (-count[name], name)) for group, count in votes.items()}


def _cuts(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Where to cut a line of groups: a group goes where its middle lies, and no section stays empty."""
    total = sum(sizes)
    middles, passed = [], 0.0
    for size in sizes:
        middles.append((passed + size / 2) / total)
        passed += size
    borders = [sum(shares[: i + 1]) / sum(shares) for i in range(len(shares) - 1)]
    cuts = [sum(middle < border - _TIE for middle in middles) for border in borders]
    for i in range(len(cuts)):
        cuts[i] = max(cuts[i], (cuts[i - 1] if i else 0) + 1)
    for i in reversed(range(len(cuts))):
        cuts[i] = min(cuts[i], (cuts[i + 1] if i + 1 < len(cuts) else len(sizes)) - 1)
    return cuts


def _uniform(seed: int, kind: str, name: str) -> float:
    """A number in [0, 1) that is the same on every machine and in every process."""
    digest = hashlib.sha256(f"{seed}\0{kind}\0{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
