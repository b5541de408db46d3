"""What an audit tells: each way in which images leak, with examples and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from monai_seg.data.duplicates.audited import AuditedImage
from monai_seg.data.duplicates.copies import NEAR, Copy, clusters
from monai_seg.data.duplicates.shortcuts import FILE, Shortcut
from monai_seg.data.fault import Fault, enumerate_briefly, fact
from monai_seg.data.raster import UnreadableError, read_raster

ACROSS, GROUPS, CONTRADICTION, WITHIN, SHORTCUT = (
    "copies across",
    "group across",
    "labels at odds",
    "copies within",
    "shortcut",
)
_EXAMPLES = 3
_MULTIPLIED = 0.5  # share of a place's images that have a copy there, above which the pool as a whole is to blame
_CLOSE = 0.97  # agreement of copies that are more than neighbours in a film or a stack of slices
_TRAINING_SHARE = 0.7


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Args:
        kind: `ACROSS`, `GROUPS`, `CONTRADICTION`, `WITHIN` or `SHORTCUT`.
        is_leak: whether it makes the figures of a test untrue as the sections are; otherwise somebody should look.
        fault: what is wrong, where, and how to mend it.
    """

    kind: str
    is_leak: bool
    fault: Fault


def copies_across(
    images: Sequence[AuditedImage], copies: Sequence[Copy], together: Sequence[Sequence[int]]
) -> list[Finding]:
    """Images that have a copy in another section or data set, for each pair of places."""
    order = {place: rank for rank, place in enumerate(dict.fromkeys(image.place for image in images))}
    having: dict[tuple[str, str], list[int]] = {}
    by_way_of: dict[tuple[str, str], int] = {}  # an image of the first place, where no pair tells it directly
    for members in together:
        of_place: dict[str, list[int]] = {}
        for index in members:
            of_place.setdefault(images[index].place, []).append(index)
        for one, other in combinations(sorted(of_place, key=lambda place: order[place]), 2):
            having.setdefault((one, other), []).extend(of_place[other])
            by_way_of.setdefault((one, other), of_place[one][0])
    findings = []
    for (one, other), later in sorted(having.items(), key=lambda item: [order[place] for place in item[0]]):
        shown = [c for c in copies if {images[c.first].place, images[c.second].place} == {one, other}][:_EXAMPLES]
        facts = [line for copy in shown for line in _pair(images, copy)]
        if not shown:
            facts = [
                fact(one, images[by_way_of[one, other]].name),
                fact(other, images[later[0]].name, "by way of others"),
            ]
        total = sum(image.place == other for image in images)
        problem = f"{len(later):,} of {total:,} images of {other} have a copy in {one}"
        mend = "take the copies out of one of the two; or give copies the same group and split anew"
        findings.append(Finding(ACROSS, True, Fault("", problem, tuple(facts), mend)))
    return findings


def copies_within(images: Sequence[AuditedImage], copies: Sequence[Copy]) -> list[Finding]:
    """Images that have a copy in their own place; a pool of which most have one is multiplied.

    Near copies of one group, such as neighbouring slices of a patient, are no finding: sections keep groups whole.
    """
    findings = []
    for place in dict.fromkeys(image.place for image in images):
        inside = [copy for copy in copies if _is_inside(images, copy, place) and not _is_kept_together(images, copy)]
        if not inside:
            continue
        total, together = sum(image.place == place for image in images), clusters(inside)
        alike, mend = sum(map(len, together)), "keep one of each"
        problem = f"{alike:,} of {total:,} images of {place} have a copy there"
        close = clusters([copy for copy in inside if copy.agreement >= _CLOSE])
        if sum(map(len, close)) > _MULTIPLIED * total:
            different = total - sum(len(members) - 1 for members in close)
            problem = f"{place} is a multiplied pool: its {total:,} images are {different:,} different ones"
        facts = [line for copy in inside[:_EXAMPLES] for line in _pair(images, copy)]
        if place.endswith("unsplit"):
            seen = f"{_seen_share(together, total):.1%} of the test images with a copy in training"
            facts.append(fact("split", f"a random one would leave {seen}, if {_TRAINING_SHARE:.0%} train"))
            mend += ", or give copies the same group, before the data are split"
        findings.append(Finding(WITHIN, False, Fault("", problem, tuple(facts), mend)))
    return findings


def groups_across(images: Sequence[AuditedImage]) -> list[Finding]:
    """People, patients or scenes that are in two places."""
    places: dict[str, dict[str, str]] = {}
    for image in images:
        if image.group is not None:
            places.setdefault(image.group, {}).setdefault(image.place, image.name)
    shared: dict[tuple[str, ...], list[str]] = {}
    for group, found in sorted(places.items()):
        if len(found) > 1:
            shared.setdefault(tuple(found), []).append(group)
    findings = []
    for found_in, groups in shared.items():
        several = f"{len(groups):,} groups are" if len(groups) > 1 else f"group '{groups[0]}' is"
        facts = [fact("groups", enumerate_briefly(groups))] if len(groups) > 1 else []
        facts += [fact(place, places[groups[0]][place]) for place in found_in]
        mend = "move all images of a group to one of them"
        problem = f"{several} in {' and '.join(found_in)}"
        findings.append(Finding(GROUPS, True, Fault("", problem, tuple(facts), mend)))
    return findings


def contradictions(
    images: Sequence[AuditedImage], copies: Sequence[Copy], together: Sequence[Sequence[int]]
) -> list[Finding]:
    """Copies that bear different classes, masks or objects."""
    classes: dict[str, set[str]] = {}
    for image in images:
        if image.class_name is not None:
            classes.setdefault(image.data, set()).add(image.class_name)
    facts = []
    for members in together:
        named = {(images[index].data, images[index].class_name): index for index in reversed(members)}
        for one, other in combinations(sorted(named.values()), 2):
            if _classes_differ(images[one], images[other], classes):
                facts.append((_labelled(images[one]), _labelled(images[other])))
                break  # one pair of each cluster tells it
    findings = []
    if facts:
        several = "1 image has" if len(facts) == 1 else f"{len(facts):,} images have"
        problem = f"{several} copies of another class"
        mend = "look at them, and keep the copy whose class is right"
        shown = tuple(line for pair in facts[:_EXAMPLES] for line in pair)
        findings.append(Finding(CONTRADICTION, False, Fault("", problem, shown, mend)))
    differing = [copy for copy in copies if copy.kind != NEAR and _targets_differ(images, copy)]
    if differing:
        several = "1 exact copy has" if len(differing) == 1 else f"{len(differing):,} exact copies have"
        problem = f"{several} another mask or other objects"
        shown = tuple(line for copy in differing[:_EXAMPLES] for line in _pair(images, copy))
        mend = "look at them, and keep the copy whose annotation is right"
        findings.append(Finding(CONTRADICTION, False, Fault("", problem, shown, mend)))
    return findings


def shortcut_findings(shortcuts: Sequence[Shortcut]) -> list[Finding]:
    """Classes that are told by their files. Only what no content explains, such as the format, is called a leak."""
    findings = []
    for each in (shortcut for shortcut in shortcuts if shortcut.is_found):
        interval = f"{each.area:.2f} ({each.ci_low:.2f} to {each.ci_high:.2f}), chance 0.50"
        facts = [fact("ROC area", interval)]
        if each.facts:
            facts.append(fact("facts", ", ".join(each.facts)))
        mend = "give all classes the same kind of file and source, or make sure that no network sees the difference"
        problem = f"class '{each.class_name}' is told from the others by {each.told_by} alone"
        findings.append(Finding(SHORTCUT, each.told_by == FILE, Fault("", problem, tuple(facts), mend)))
    return findings


def _pair(images: Sequence[AuditedImage], copy: Copy) -> list[str]:
    one, other = images[copy.first], images[copy.second]
    what = f"{copy.kind} {copy.agreement:.2f}" if copy.kind == NEAR else copy.kind
    how = f", {copy.how}" if copy.how else ""
    return [fact(one.place, one.name), fact(other.place, other.name, what + how)]


def _labelled(image: AuditedImage) -> str:
    return fact(image.place, image.name, str(image.class_name))


def _is_inside(images: Sequence[AuditedImage], copy: Copy, place: str) -> bool:
    return images[copy.first].place == place == images[copy.second].place


def _is_kept_together(images: Sequence[AuditedImage], copy: Copy) -> bool:
    group = images[copy.first].group
    return copy.kind == NEAR and group is not None and group == images[copy.second].group


def _classes_differ(one: AuditedImage, other: AuditedImage, classes: dict[str, set[str]]) -> bool:
    if one.class_name is None or other.class_name is None or one.class_name == other.class_name:
        return False
    # Another data set may call the class otherwise: only names that both know can be at odds.
    known = classes[one.data] & classes[other.data]
    return one.data == other.data or {one.class_name, other.class_name} <= known


def _targets_differ(images: Sequence[AuditedImage], copy: Copy) -> bool:
    one, other = images[copy.first].record, images[copy.second].record
    if "annotations" in one and "annotations" in other:
        return _objects(one["annotations"]) != _objects(other["annotations"])
    if not (isinstance(one.get("label"), str) and isinstance(other.get("label"), str)):
        return False
    try:
        first, second = read_raster(one["label"]), read_raster(other["label"])
    except UnreadableError:
        return False  # `monai-seg check` tells of it
    return first.sha256 != second.sha256 and not np.array_equal(first.values, second.values)


def _objects(annotations: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(repr((each.get("category"), each.get("bbox"), each.get("segmentation"))) for each in annotations)


def _seen_share(inside: Sequence[Sequence[int]], total: int) -> float:
    """Share of the test images with a copy in training when the images are split at random."""
    seen = sum(len(members) * (1 - (1 - _TRAINING_SHARE) ** (len(members) - 1)) for members in inside)
    return seen / total
