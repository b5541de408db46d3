"""Classes of whole images: named as the network knows them, and there to learn from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from monai_seg.data.fault import DataError, Fault, fact
from monai_seg.data.layouts import Record

logger = logging.getLogger(__name__)


def with_classes(
    records: Sequence[Record], class_names: Sequence[str], class_map: Mapping[str, str | None] | None = None
) -> list[Record]:
    """Records whose ``class`` is one that a network knows, as another data set may name it otherwise.

    Args:
        records: cases with a ``class``.
        class_names: that the network knows.
        class_map: what a class of the data is called there, or None for cases to leave out: ``{happy: happiness,
            disgust: null}``. A class that is not in it keeps its name.

    Returns:
        Copies, in their order.

    Raises:
        DataError: a class is not known, or no case is left.
    """
    known, names = dict(class_map or {}), set(class_names)
    called = [known.get(str(record["class"]), str(record["class"])) for record in records]
    strangers = Counter(name for name in called if name is not None and name not in names)
    if strangers:
        raise DataError([_unknown(name, count, class_names) for name, count in sorted(strangers.items())])
    kept = [record | {"class": name} for record, name in zip(records, called, strict=True) if name is not None]
    if len(kept) < len(records):
        dropped = sorted({str(r["class"]) for r, name in zip(records, called, strict=True) if name is None})
        logger.info("left out: %d cases of %s, as class_map says", len(records) - len(kept), ", ".join(dropped))
    if records and not kept:
        raise DataError([Fault("", "class_map leaves no case", (), "let it keep at least one class")])
    return kept


def class_indices(records: Sequence[Record], class_names: Sequence[str]) -> list[int]:
    """Index of the class of each record of `with_classes`."""
    place = {name: index for index, name in enumerate(class_names)}
    return [place[record["class"]] for record in records]


def class_counts(records: Sequence[Record], class_names: Sequence[str]) -> list[int]:
    """Number of records of each class of `with_classes`."""
    counts = Counter(record["class"] for record in records)
    return [counts[name] for name in class_names]


def require_classes(
    sections: Mapping[str, Sequence[Record]],
    class_names: Sequence[str],
    class_map: Mapping[str, str | None] | None = None,
) -> None:
    """Refuse sections that a classifier cannot be trained on; warn of those in which a class cannot be judged.

    Args:
        sections: records of "training", "validation" and "test".
        class_names, class_map: as of `with_classes`.

    Raises:
        DataError: a class is not known, or training has no case of one.
    """
    counts = {
        name: dict(zip(class_names, class_counts(with_classes(part, class_names, class_map), class_names), strict=True))
        for name, part in sections.items()
        if part
    }
    training = counts.get("training", {})
    faults = [
        Fault("", f"training has no case of class '{name}'",
              tuple(fact(section, f"{of[name]} cases of '{name}'") for section, of in counts.items()),
              "add cases, split otherwise (seed, shares), or take the class out of class_names")
        for name in class_names
        if not training.get(name)
    ]  # fmt: skip
    if faults:
        raise DataError(faults, "the sections")
    for section, of in counts.items():
        lacking = [name for name in class_names if not of[name]]
        if lacking:
            logger.warning("the %s section has no case of %s: nothing is said of it", section, ", ".join(lacking))


def class_findings(
    parts: Mapping[str, Sequence[Record]], class_names: Sequence[str] | None = None
) -> tuple[list[Fault], list[Fault]]:
    """Faults and warnings of the classes of a data set as it lies on disk; none where no case has a class.

    Args:
        parts: records by section, with "unsplit" among them.
        class_names: the known ones; None takes any.
    """
    found = {name: Counter(str(r["class"]) for r in part if r.get("class") is not None) for name, part in parts.items()}
    found = {name: counts for name, counts in found.items() if counts}
    total = sum(found.values(), Counter[str]())
    if not total:
        return [], []
    faults = []
    if len(total) == 1:
        (name,) = total
        seen = (fact("found", f"{total[name]} cases of '{name}'"),)
        faults.append(Fault("", "all cases are of one class", seen, "add cases of another one: there is no choice"))
    if class_names is not None:
        faults += [_unknown(name, count, class_names) for name, count in sorted(total.items())
                   if name not in class_names]  # fmt: skip
    trained = found.get("training", Counter[str]()) + found.get("unsplit", Counter[str]())
    for section in ("validation", "test") if "training" in found else ():
        for name in sorted(found.get(section, Counter[str]()).keys() - trained.keys()):
            facts = (fact("training", "0 cases"), fact(section, f"{found[section][name]} cases"))
            mend = "put cases of the class into training too, or leave the class out"
            faults.append(Fault("", f"class '{name}' is in {section} but not in training", facts, mend))
    warnings = []
    if class_names is not None and (lacking := [name for name in class_names if not total[name]]):
        seen = (fact("found", ", ".join(f"{name} {count}" for name, count in sorted(total.items()))),)
        warnings.append(Fault("", f"no case of {', '.join(lacking)}", seen, "nothing can be said of these classes"))
    return faults, warnings


def contradictions(records: Sequence[Record], contents: Sequence[tuple[str, ...]]) -> list[Fault]:
    """Copies of one image that bear different classes.

    Args:
        records: cases.
        contents: what is in the image of each, such as its hash; empty where unknown.
    """
    copies: dict[tuple[str, ...], list[Record]] = {}
    for record, content in zip(records, contents, strict=True):
        if content and record.get("class") is not None:
            copies.setdefault(content, []).append(record)
    return [
        Fault("", f"the same image is said to be {' and '.join(sorted({str(r['class']) for r in alike}))}",
              tuple(fact("image", str(r["image"]), str(r["class"])) for r in alike),
              "look at it, and keep the copy whose class is right")
        for alike in copies.values()
        if len({str(r["class"]) for r in alike}) > 1
    ]  # fmt: skip


def _unknown(name: str, count: int, class_names: Sequence[str]) -> Fault:
    facts = (fact("found", f"{count} cases of '{name}'"), fact("known", ", ".join(class_names)))
    mend = f"rename it, or set class_map: {{{name}: CLASS}}, or {{{name}: null}} to leave its cases out"
    return Fault("", f"class '{name}' is not known", facts, mend)
