"""The sections of a data set: those given on disk are kept, those that lack are split off, group by group."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from monai_seg.data.fault import enumerate_briefly
from monai_seg.data.grouping import group_of, in_order, name_groups, refuse_shared_groups
from monai_seg.data.joining import common_root, join, strata
from monai_seg.data.layouts import Record, read_listing
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import SECTIONS, first_image
from monai_seg.data.split import fold_groups
from monai_seg.data.targets import of_use

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
    target_key: str | None = "label",
) -> list[Record]:
    """Records of one section of a data set; see `sections`.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        section: "training", "validation" or "test".
        seed: of the split, where one has to be made.
        fold: which fold is the validation section, from 0; None for a plain split.
        folds: how many folds there are.
        group_by: regular expression that finds the group in a path.
        target_key: the key that a case must have.

    Raises:
        ValueError: there is no such section.
        LayoutError: the data cannot be listed.
    """
    if section not in SECTIONS:
        raise ValueError(f"no section '{section}'; give one of {', '.join(SECTIONS)}")
    parts = sections(dataset_dir, seed=seed, fold=fold, folds=folds, group_by=group_by, target_key=target_key)
    return parts[section]


def sections(
    dataset_dir: str | os.PathLike[str],
    *others: str | os.PathLike[str],
    seed: int = 0,
    fold: int | None = None,
    folds: int = 5,
    group_by: str | None = None,
    shares: Sequence[float] = SHARES,
    target_key: str | None = "label",
) -> dict[str, list[Record]]:
    """Records of one or several data sets under "training", "validation" and "test".

    The same data, seed and groups give the same sections, wherever the data lie. Test cases are the same for every
    fold and without folds. Cases without a target are left out.

    Each data set keeps the sections that it has on disk and otherwise is split as if it were alone; but the unsplit
    cases of a group that another data set has put in a section follow it there.

    Args:
        dataset_dir: a folder in a known layout, or a JSON datalist.
        others: further data sets that come into the same sections.
        seed: of the split, where one has to be made.
        fold: which fold of the cases outside the test section is the validation section, from 0; records with a
            ``fold`` of their own keep it. None splits the validation section off the training cases.
        folds: how many folds there are.
        group_by: regular expression searched in each path relative to the data set (with others, to the folder that
            holds them all); what its groups capture (or the whole match) names the group. Without it the ``group`` of
            a record counts, else each case stands alone.
        shares: of the training, validation and test section; those of sections given on disk are ignored.
        target_key: the key that a case must have: "label" (a mask), "class", or None where any image will do. "auto"
            takes of each data set the cases with a mask or a class, or every image where there are none.

    Returns:
        Records with absolute paths, in the order of their relative paths.

    Raises:
        LayoutError: a data set cannot be listed, or none of its cases has a target.
        DataError: ``group_by`` fits no part of a path, sections given on disk share a group, or data sets share an
            image.
        ValueError: there are too few groups, or no such fold.
    """
    root, parts = _joined((dataset_dir, *others), seed, group_by, shares, target_key)
    if fold is not None:
        rest = in_order(parts["training"] + parts["validation"], root)
        numbers = _folds(rest, root, folds, seed)
        if fold not in numbers:
            raise ValueError(f"no fold {fold}; there are the folds {enumerate_briefly(sorted(set(numbers)))}")
        parts["validation"] = [record for record, number in zip(rest, numbers, strict=True) if number == fold]
        parts["training"] = [record for record, number in zip(rest, numbers, strict=True) if number != fold]
    refuse_shared_groups(parts, root)
    return parts


def folded_sections(
    dataset_dir: str | os.PathLike[str],
    *others: str | os.PathLike[str],
    seed: int = 0,
    folds: int = 5,
    group_by: str | None = None,
    shares: Sequence[float] = SHARES,
    target_key: str | None = "label",
) -> dict[str, list[Record]]:
    """Sections for cross-validation: each case outside the test section is in training and carries its ``fold``.

    Args, raises: as `sections`.
    """
    root, parts = _joined((dataset_dir, *others), seed, group_by, shares, target_key)
    rest = in_order(parts["training"] + parts["validation"], root)
    numbers = _folds(rest, root, folds, seed)
    training = [record | {"fold": number} for record, number in zip(rest, numbers, strict=True)]
    folded = {"training": training, "validation": [], "test": parts["test"]}
    refuse_shared_groups(folded, root)
    return folded


def _joined(
    dataset_dirs: Sequence[str | os.PathLike[str]],
    seed: int,
    group_by: str | None,
    shares: Sequence[float],
    target_key: str | None,
) -> tuple[Path, dict[str, list[Record]]]:
    """The folder that holds all data sets, and their cases of use by section."""
    listings = [of_use(read_listing(dataset_dir), target_key) for dataset_dir in dataset_dirs]
    root = common_root(listings)
    for listing in listings:
        for fault in listing.faults:
            logger.warning("left out: %s", fault)
    if group_by is not None:
        records = [record for listing in listings for part in listing.sections.values() for record in part]
        name_groups(records, root, group_by)
    return root, join(listings, seed, shares)


def _folds(records: list[Record], root: Path, folds: int, seed: int) -> list[int]:
    own = [record.get("fold") for record in records]
    if all(number is None for number in own):
        return fold_groups([group_of(record, root) for record in records], strata(records), folds, seed)
    numbers = [number for number in own if isinstance(number, int)]
    if len(numbers) < len(own):
        name = next(relative(first_image(r), root) for r in records if not isinstance(r.get("fold"), int))
        raise ValueError(f"{name} has no 'fold' but other cases have: give one, from 0, to every case or to none")
    return numbers
