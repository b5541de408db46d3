"""Transforms that MONAI lacks, each fixed and, where it is random, drawn with its parameters left in the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_seg.lazy_names import lazy_names

if TYPE_CHECKING:
    from monai_seg.transforms.class_index import ClassIndexd
    from monai_seg.transforms.class_masks import ClassMasks, ClassMasksd
    from monai_seg.transforms.dihedral import Dihedral, RandDihedrald
    from monai_seg.transforms.each_class import EachClass, EachClassd
    from monai_seg.transforms.edge_true_resize import EdgeTrueResize, EdgeTrueResized
    from monai_seg.transforms.face_shadow import FaceShadow
    from monai_seg.transforms.face_shadow_fixed import FaceShadowd
    from monai_seg.transforms.face_shadow_random import FaceShadowRanges, RandFaceShadow, RandFaceShadowd
    from monai_seg.transforms.instance_aware import InstanceAwared, RandInstanceAwared
    from monai_seg.transforms.instance_crop import RandCropInstancesd
    from monai_seg.transforms.load_instances import LoadInstancesd, RemoveCrowdd
    from monai_seg.transforms.mask_boxes import masks_to_boxes
    from monai_seg.transforms.median_blur import MedianBlur, MedianBlurd
    from monai_seg.transforms.restore_instances import RestoreInstancesd
    from monai_seg.transforms.visible_instances import MasksToBoxesd

_HOMES = {
    "ClassIndexd": "class_index",
    "ClassMasks": "class_masks",
    "ClassMasksd": "class_masks",
    "Dihedral": "dihedral",
    "EachClass": "each_class",
    "EachClassd": "each_class",
    "EdgeTrueResize": "edge_true_resize",
    "EdgeTrueResized": "edge_true_resize",
    "FaceShadow": "face_shadow",
    "FaceShadowRanges": "face_shadow_random",
    "FaceShadowd": "face_shadow_fixed",
    "InstanceAwared": "instance_aware",
    "LoadInstancesd": "load_instances",
    "MasksToBoxesd": "visible_instances",
    "MedianBlur": "median_blur",
    "MedianBlurd": "median_blur",
    "RandCropInstancesd": "instance_crop",
    "RandDihedrald": "dihedral",
    "RandFaceShadow": "face_shadow_random",
    "RandFaceShadowd": "face_shadow_random",
    "RandInstanceAwared": "instance_aware",
    "RemoveCrowdd": "load_instances",
    "RestoreInstancesd": "restore_instances",
    "masks_to_boxes": "mask_boxes",
}

__all__ = [
    "ClassIndexd",
    "ClassMasks",
    "ClassMasksd",
    "Dihedral",
    "EachClass",
    "EachClassd",
    "EdgeTrueResize",
    "EdgeTrueResized",
    "FaceShadow",
    "FaceShadowRanges",
    "FaceShadowd",
    "InstanceAwared",
    "LoadInstancesd",
    "MasksToBoxesd",
    "MedianBlur",
    "MedianBlurd",
    "RandCropInstancesd",
    "RandDihedrald",
    "RandFaceShadow",
    "RandFaceShadowd",
    "RandInstanceAwared",
    "RemoveCrowdd",
    "RestoreInstancesd",
    "masks_to_boxes",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
