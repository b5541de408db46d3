"""One split over one or several data sets: what is on disk stays, the rest is split off, no group apart."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_seg.data.fault import DataError, Fault, fact
from monai_seg.data.grouping import group_of, in_order
from monai_seg.data.layouts import Listing, Record
from monai_seg.data.layouts.files import relative, stem
from monai_seg.data.layouts.listing import SECTIONS, first_image
from monai_seg.data.split import split_groups


def common_root(listings: Sequence[Listing]) -> Path:
    """The deepest folder that holds all data sets; for a single one its own."""
    return Path(os.path.commonpath([listing.root for listing in listings]))


def join(listings: Sequence[Listing], seed: int, shares: Sequence[float]) -> dict[str, list[Record]]:
    """Bring the cases of data sets into "training", "validation" and "test".

    Each data set keeps the sections that it has on disk and is split as if it were alone, but for the groups that have
    a section already, on disk or by the split of another data set: their unsplit cases follow them. Two data sets on
    disk may still disagree about a group; see `refuse_shared_groups`.

    Args:
        listings: the cases of each data set.
        seed: of the splits.
        shares: of the three sections; those of sections given on disk are ignored.

    Raises:
        DataError: two data sets hold the same file.
        ValueError: there are too few groups, or not three shares.
    """
    if len(shares) != len(SECTIONS):
        raise ValueError(f"{len(shares)} shares; give three, for training, validation and test")
    share_of = dict(zip(SECTIONS, shares, strict=True))
    joined = _Joined(common_root(listings))
    _refuse_repeated_files(listings, joined.root)
    # The more of its sections a data set has on disk, the less it can follow the others: it is split first.
    plans = sorted(((_to_fill(listing, share_of), listing) for listing in listings), key=lambda plan: len(plan[0]))
    for to_fill, listing in plans:
        for name in (name for name in SECTIONS if name not in to_fill):
            for record in listing.sections.get(name, []):
                joined.put(record, name)
    for to_fill, listing in plans:
        joined.split_off(listing, to_fill, share_of, seed)
    return {name: in_order(records, joined.root) for name, records in joined.parts.items()}


@dataclass
class _Joined:
    """The sections as far as they are filled, and where each group has come to lie."""

    root: Path
    parts: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    section_of: dict[str, str] = field(default_factory=dict)

    def put(self, record: Record, section: str) -> None:
        self.parts[section].append(record)
        self.section_of.setdefault(group_of(record, self.root), section)

    def split_off(self, listing: Listing, to_fill: Sequence[str], share_of: Mapping[str, float], seed: int) -> None:
        """Deal the training and unsplit cases of a data set, first those whose group has a section."""
        free = []
        for origin in ("training", "unsplit") if to_fill else ("unsplit",):
            for record in listing.sections.get(origin, []):
                section = self.section_of.get(group_of(record, self.root))
                if section is None:
                    free.append(record)
                else:  # cases in training on disk never follow into a section that is on disk too: that is refused
                    self.put(record, section if origin == "unsplit" or section in to_fill else "training")
        # Below its own root, so that a data set is split alike with and without others.
        groups = [group_of(record, listing.root) for record in free]
        if len(set(groups)) < len(to_fill):  # sections that others have filled need none of the few
            to_fill = [name for name in to_fill if name == "training" or not self.parts[name]]
        names = list(to_fill) or ["training"]
        wanted = [share_of[name] for name in names] if len(names) > 1 else [1.0]
        numbers = split_groups(groups, strata(free), wanted, seed) if free else []
        for record, number in zip(free, numbers, strict=True):
            self.put(record, names[number])


def strata(records: Sequence[Record]) -> list[str] | None:
    """The class of each case, for a split that mixes them evenly; None where no case has one."""
    classes = [str(record.get("class", "")) for record in records]
    return classes if any(classes) else None


def _to_fill(listing: Listing, share_of: Mapping[str, float]) -> list[str]:
    """Training and the sections to split off it; none where the data set has them all on disk."""
    lacking = [name for name in SECTIONS[1:] if share_of[name] > 0 and not listing.sections.get(name)]
    return ["training", *lacking] if lacking else []


def _refuse_repeated_files(listings: Sequence[Listing], root: Path) -> None:
    places: dict[str, list[str]] = {}
    for listing in listings:
        for image in {first_image(record) for part in listing.sections.values() for record in part}:
            places.setdefault(image, []).append(str(listing.root))
    faults = [
        Fault(stem(image), "the image is in two data sets",
              (fact("image", relative(image, root)), *(fact("data set", place) for place in sorted(found))),
              "name each data set once")
        for image, found in sorted(places.items())
        if len(found) > 1
    ]  # fmt: skip
    if faults:
        raise DataError(faults, str(root))
