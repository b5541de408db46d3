"""Which cases of a data set are of use: those that hold what is to be learned or compared with."""

from __future__ import annotations

from dataclasses import replace

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.listing import LayoutError, Listing, Record

AUTO = "auto"
_NOUNS = {"label": "mask", "class": "class", "annotations": "list of objects"}


def of_use(listing: Listing, target_key: str | None) -> Listing:
    """The listing with only those cases that have a target; records are copied.

    Args:
        listing: all cases of a data set.
        target_key: the key that a case must have, such as "label" (a mask) or "class"; None takes every image; "auto"
            takes the cases with a mask, a class or a list of objects, or every image of a data set without any. A list
            of no object is a target too.

    Raises:
        LayoutError: no case is left.
    """

    def kept(*keys: str) -> dict[str, list[Record]]:
        return {
            name: [dict(r) for r in part if not keys or any(r.get(key) is not None for key in keys)]
            for name, part in listing.sections.items()
        }

    if target_key == AUTO:
        sections = kept(*_NOUNS)
        sections = sections if any(sections.values()) else kept()
    else:
        sections = kept() if target_key is None else kept(target_key)
    if not any(sections.values()):
        raise LayoutError(_nothing(listing, target_key))
    return replace(listing, sections=sections)


def _nothing(listing: Listing, target_key: str | None) -> Fault:
    count = sum(map(len, listing.sections.values()))
    reasons = [fact("fault", str(fault).partition("\n")[0]) for fault in listing.faults[:8]]
    mend = "run 'monai-seg check' on the data"
    if target_key in (None, AUTO) or not count:
        return Fault("", f"no image in {listing.root}", tuple(reasons), mend)
    noun = _NOUNS.get(str(target_key), f"'{target_key}'")
    facts = (fact("found", f"{count} case{'s' if count > 1 else ''} without a {noun}"), *reasons)
    return Fault("", f"no case with a {noun} in {listing.root}", facts, f"add a {noun} to the cases, or {mend}")
