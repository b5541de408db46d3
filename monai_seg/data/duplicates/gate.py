"""The gate before a training: sections that share an image, a person or a source are refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from monai_seg.data.duplicates.audited import images_of_sections
from monai_seg.data.duplicates.leaks import LeakReport, find_leaks
from monai_seg.data.fault import DataError
from monai_seg.data.layouts import Record

logger = logging.getLogger(__name__)


def require_no_leaks(
    sections: Mapping[str, Iterable[Record]], allow: bool = False, progress: bool = False
) -> LeakReport | None:
    """Refuse sections that would make a test flatter: for the ``training`` run id of a bundle.

    Refused are exact and near copies across sections, groups in two sections, and classes that the kind of file gives
    away. Copies within a section, labels at odds, and classes that are told by texture or size on disk are logged.

    Args:
        sections: records of "training", "validation" and "test", as `RunFolder.sections` has them.
        allow: look at nothing, and say so; what a bundle's ``allow_duplicates`` is for.
        progress: whether to show bars for what takes more than two seconds.

    Returns:
        What was found; None where nothing was looked at.

    Raises:
        DataError: names the first pairs of each kind and what to do.
    """
    if allow:
        logger.warning("allow_duplicates is set: nobody looked for copies of test images in training")
        return None
    report = find_leaks(images_of_sections(sections), progress)
    for finding in report.findings:
        if not finding.is_leak:
            logger.warning("%s", finding.fault)
    leaks = [finding.fault for finding in report.findings if finding.is_leak]
    if leaks:
        leaks[-1] = replace(leaks[-1], mend=f"{leaks[-1].mend}; --allow_duplicates true trains all the same")
        raise DataError(leaks, "the sections")
    return report
