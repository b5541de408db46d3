"""Copies of images within and between sections and data sets, and other ways in which a test can flatter a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.data.duplicates.audited import AuditedImage, images_of_data, images_of_run, images_of_sections
    from monai_seg.data.duplicates.copies import Copy, clusters, find_copies
    from monai_seg.data.duplicates.leaks import LeakReport, find_leaks
    from monai_seg.data.duplicates.shortcuts import Shortcut, find_shortcuts

_HOMES = {
    "AuditedImage": "audited",
    "Copy": "copies",
    "LeakReport": "leaks",
    "Shortcut": "shortcuts",
    "clusters": "copies",
    "find_copies": "copies",
    "find_leaks": "leaks",
    "find_shortcuts": "shortcuts",
    "images_of_data": "audited",
    "images_of_run": "audited",
    "images_of_sections": "audited",
}

__all__ = [
    "AuditedImage",
    "Copy",
    "LeakReport",
    "Shortcut",
    "clusters",
    "find_copies",
    "find_leaks",
    "find_shortcuts",
    "images_of_data",
    "images_of_run",
    "images_of_sections",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
