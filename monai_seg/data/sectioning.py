"""The sections of a data set: those given on disk are kept, those that lack are split off, group by group."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from monai_seg.data.fault import DataError, Fault, enumerate_briefly, fact
from monai_seg.data.layouts import Listing, Record, read_listing
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import SECTIONS, LayoutError, first_image, is_labelled
from monai_seg.data.split import fold_groups, split_groups

SHARES = (0.7, 0.1, 0.2)
logger = logging.getLogger(__name__)


def datalist(
    dataset_dir: str | os.PathLike[str],
    section: str,
    *,
    seed: int = 0,
    fold: int | None = None,
    folds: int = 5,
    group_by: str | None = None,
) -> list[Record]:
    """Records of one section of a data set; see `sections`.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        section: "training", "validation" or "test".
        seed: of the split, where one has to be made.
        fold: which fold is the validation section, from 0; None for a plain split.
        folds: how many folds there are.
        group_by: regular expression that finds the group in a path.

    Raises:
        ValueError: there is no such section.
        LayoutError: the data cannot be listed.
    """
    if section not in SECTIONS:
        raise ValueError(f"no section '{section}'; give one of {', '.join(SECTIONS)}")
    return sections(dataset_dir, seed=seed, fold=fold, folds=folds, group_by=group_by)[section]


def sections(
    dataset_dir: str | os.PathLike[str],
    *,
    seed: int = 0,
    fold: int | None = None,
    folds: int = 5,
    group_by: str | None = None,
    shares: Sequence[float] = SHARES,
) -> dict[str, list[Record]]:
    """Labelled records of a data set under "training", "validation" and "test".

    The same data, seed and groups give the same sections, wherever the data lie. Test cases are the same for every
    fold and without folds. Cases without a label are left out.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        seed: of the split, where one has to be made.
        fold: which fold of the cases outside the test section is the validation section, from 0; records with a
            ``fold`` of their own keep it. None splits the validation section off the training cases.
        folds: how many folds there are.
        group_by: regular expression searched in each path relative to the data set; what its groups capture (or the
            whole match) names the group. Without it the ``group`` of a record counts, else each case stands alone.
        shares: of the training, validation and test section; those of sections given on disk are ignored.

    Returns:
        Records with absolute paths, in the order of their relative paths.

    Raises:
        LayoutError: the data cannot be listed, or no case has a label.
        DataError: ``group_by`` fits no part of a path, or sections given on disk share a group.
        ValueError: there are too few groups, or no such fold.
    """
    listing = read_listing(dataset_dir)
    given = _labelled(listing, group_by)
    parts = _split(given, listing, seed, shares)
    if fold is not None:
        rest = _sorted(parts["training"] + parts["validation"], listing)
        numbers = _folds(rest, listing, folds, seed)
        if fold not in numbers:
            raise ValueError(f"no fold {fold}; there are the folds {enumerate_briefly(sorted(set(numbers)))}")
        parts["validation"] = [record for record, number in zip(rest, numbers, strict=True) if number == fold]
        parts["training"] = [record for record, number in zip(rest, numbers, strict=True) if number != fold]
    _refuse_shared_groups(parts, listing)
    return parts


def folded_sections(
    dataset_dir: str | os.PathLike[str],
    *,
    seed: int = 0,
    folds: int = 5,
    group_by: str | None = None,
    shares: Sequence[float] = SHARES,
) -> dict[str, list[Record]]:
    """Sections for cross-validation: each case outside the test section is in training and carries its ``fold``.

    Args, raises: as `sections`.
    """
    listing = read_listing(dataset_dir)
    parts = _split(_labelled(listing, group_by), listing, seed, shares)
    rest = _sorted(parts["training"] + parts["validation"], listing)
    numbers = _folds(rest, listing, folds, seed)
    training = [record | {"fold": number} for record, number in zip(rest, numbers, strict=True)]
    folded = {"training": training, "validation": [], "test": parts["test"]}
    _refuse_shared_groups(folded, listing)
    return folded


def _labelled(listing: Listing, group_by: str | None) -> dict[str, list[Record]]:
    """Labelled records by section, each with its group where one is told."""
    for fault in listing.faults:
        logger.warning("left out: %s", fault)
    given = {name: [dict(r) for r in records if is_labelled(r)] for name, records in listing.sections.items()}
    if not any(given.values()):
        count = sum(map(len, listing.sections.values()))
        reasons = (fact("fault", str(fault).partition("\n")[0]) for fault in listing.faults[:8])
        facts = (fact("found", f"{count} cases without a label"), *reasons)
        raise LayoutError(Fault("", f"no labelled case in {listing.root}", facts, "run 'monai-seg check' on the data"))
    if group_by is not None:
        _group(given, listing, group_by)
    return given


def _group(given: dict[str, list[Record]], listing: Listing, group_by: str) -> None:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(f"group_by '{group_by}' is no regular expression: {error}") from error
    strangers = []
    for record in (record for records in given.values() for record in records):
        name = relative(first_image(record), listing.root)
        match = pattern.search(name)
        if match is None:
            strangers.append(name)
        else:
            record["group"] = "|".join(part or "" for part in match.groups()) if match.groups() else match[0]
    if strangers:
        facts = tuple(fact("image", name) for name in sorted(strangers)[:8])
        problem = f"group_by '{group_by}' fits no part of {len(strangers)} paths"
        raise DataError([Fault("", problem, facts, "widen the expression until it fits every path")], str(listing.root))


def _split(
    given: dict[str, list[Record]], listing: Listing, seed: int, shares: Sequence[float]
) -> dict[str, list[Record]]:
    """Keep the given sections and split the others off the training cases."""
    if len(shares) != len(SECTIONS):
        raise ValueError(f"{len(shares)} shares; give three, for training, validation and test")
    parts = {name: _sorted(given.get(name, []), listing) for name in SECTIONS}
    pool = _sorted(parts["training"] + given.get("unsplit", []), listing)
    parts["training"] = pool
    lacking = [name for name in SECTIONS[1:] if not parts[name] and shares[SECTIONS.index(name)] > 0]
    if not lacking or not pool:
        return parts
    wanted = ["training", *lacking]
    numbers = split_groups(
        [_group_of(record, listing) for record in pool],
        _strata(pool),
        [shares[SECTIONS.index(name)] for name in wanted],
        seed,
    )
    for number, name in enumerate(wanted):
        parts[name] = [record for record, own in zip(pool, numbers, strict=True) if own == number]
    return parts


def _folds(records: list[Record], listing: Listing, folds: int, seed: int) -> list[int]:
    own = [record.get("fold") for record in records]
    if all(number is None for number in own):
        return fold_groups([_group_of(record, listing) for record in records], _strata(records), folds, seed)
    numbers = [number for number in own if isinstance(number, int)]
    if len(numbers) < len(own):
        name = next(relative(first_image(r), listing.root) for r in records if not isinstance(r.get("fold"), int))
        raise ValueError(f"{name} has no 'fold' but other cases have: give one, from 0, to every case or to none")
    return numbers


def _strata(records: list[Record]) -> list[str] | None:
    classes = [str(record.get("class", "")) for record in records]
    return classes if any(classes) else None


def _group_of(record: Record, listing: Listing) -> str:
    group = record.get("group")
    return relative(first_image(record), listing.root) if group is None else str(group)


def _sorted(records: list[Record], listing: Listing) -> list[Record]:
    return sorted(records, key=lambda record: relative(first_image(record), listing.root))


def _refuse_shared_groups(parts: dict[str, list[Record]], listing: Listing) -> None:
    """Sections that come from disk may cut a group; evaluating on them would flatter the model."""
    seen: dict[str, dict[str, str]] = {}
    for name, records in parts.items():
        for record in records:
            path = relative(first_image(record), listing.root)
            seen.setdefault(_group_of(record, listing), {}).setdefault(name, path)
    faults = [
        Fault("", f"group '{group}' is in {' and '.join(places)}", tuple(fact(*item) for item in places.items()),
              "move all cases of the group to one section")
        for group, places in sorted(seen.items())
        if len(places) > 1
    ]  # fmt: skip
    if faults:
        raise DataError(faults, str(Path(listing.root)))
