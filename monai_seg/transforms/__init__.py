"""Transforms that MONAI lacks, each fixed and, where it is random, drawn with its parameters left in the sample."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_seg.transforms.dihedral import Dihedral, RandDihedrald
    from monai_seg.transforms.face_shadow import FaceShadow
    from monai_seg.transforms.face_shadow_random import FaceShadowRanges, RandFaceShadow, RandFaceShadowd
    from monai_seg.transforms.median_blur import MedianBlur, MedianBlurd

_HOMES = {
    "Dihedral": "dihedral",
    "FaceShadow": "face_shadow",
    "FaceShadowRanges": "face_shadow_random",
    "MedianBlur": "median_blur",
    "MedianBlurd": "median_blur",
    "RandDihedrald": "dihedral",
    "RandFaceShadow": "face_shadow_random",
    "RandFaceShadowd": "face_shadow_random",
}

__all__ = [
    "Dihedral",
    "FaceShadow",
    "FaceShadowRanges",
    "MedianBlur",
    "MedianBlurd",
    "RandDihedrald",
    "RandFaceShadow",
    "RandFaceShadowd",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
