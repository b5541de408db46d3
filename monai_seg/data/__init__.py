"""From a folder on disk to a checked datalist. Names load their file on first use, so that starting up stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.data.box_fingerprint import anchor_sizes
    from monai_seg.data.cases import external_cases, images, require_readable
    from monai_seg.data.classes import class_counts, class_indices, require_classes, with_classes
    from monai_seg.data.datalist_store import data_hash, read_datalist, write_datalist
    from monai_seg.data.duplicates.gate import require_no_leaks
    from monai_seg.data.fault import DataError, Fault
    from monai_seg.data.integrity import check, require_sound
    from monai_seg.data.layouts import LayoutError
    from monai_seg.data.rgb_reader import RGBReader
    from monai_seg.data.samples import sample_data
    from monai_seg.data.sectioning import datalist, sections

# No file bears the name of a function here: importing it would put the module in the place of the function.
_HOMES = {
    "DataError": "fault",
    "Fault": "fault",
    "LayoutError": "layouts",
    "RGBReader": "rgb_reader",
    "anchor_sizes": "box_fingerprint",
    "check": "integrity",
    "class_counts": "classes",
    "class_indices": "classes",
    "data_hash": "datalist_store",
    "datalist": "sectioning",
    "external_cases": "cases",
    "images": "cases",
    "read_datalist": "datalist_store",
    "require_classes": "classes",
    "require_no_leaks": "duplicates.gate",
    "require_readable": "cases",
    "require_sound": "integrity",
    "sample_data": "samples",
    "sections": "sectioning",
    "with_classes": "classes",
    "write_datalist": "datalist_store",
}

__all__ = [
    "DataError",
    "Fault",
    "LayoutError",
    "RGBReader",
    "anchor_sizes",
    "check",
    "class_counts",
    "class_indices",
    "data_hash",
    "datalist",
    "external_cases",
    "images",
    "read_datalist",
    "require_classes",
    "require_no_leaks",
    "require_readable",
    "require_sound",
    "sample_data",
    "sections",
    "with_classes",
    "write_datalist",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
