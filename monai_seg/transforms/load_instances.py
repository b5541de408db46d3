"""The objects of an image from its annotations or from an instance map: `LoadInstancesd` and `RemoveCrowdd`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_seg.data.annotations.drawing import AnnotationError, draw
from monai_seg.transforms.mask_boxes import masks_to_boxes

INSTANCE_KEYS = ("mask", "label", "box", "crowd")


class LoadInstancesd(MapTransform):
    """Draw the annotated objects of an image that is loaded already.

    A sample with ``annotations`` (see `monai_seg.data.annotations`) has them drawn. One without has an instance map at
    ``label``, loaded beside the image: each value but 0 is an object, of the class that ``instance_classes`` in the
    sample names for it, ``{"1": "tumor"}``, or of the only class.

    Args:
        class_names: index 0 is the first of them.
        image_key: of the image, whose size and affine the masks get.

    Shape:
        Leaves ``mask`` ``(N, H, W[, D])`` uint8, ``label`` ``(N,)`` int64, ``box`` ``(N, 4 or 6)`` float32 (see
        `masks_to_boxes`) and ``crowd`` ``(N,)`` bool in the sample. N may be 0.

    Raises:
        ValueError: an object is of none of the classes, or cannot be drawn; or there is nothing to draw from.
    """

    def __init__(self, class_names: Sequence[str], image_key: str = "image") -> None:
        super().__init__(image_key)
        self.class_names, self.image_key = list(class_names), image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        image = sample[self.image_key]
        where = str(getattr(image, "meta", {}).get("filename_or_obj", "the image"))
        sample.pop("size", None)
        if "annotations" in sample:
            masks, labels, crowd = self._drawn(sample.pop("annotations"), tuple(image.shape[1:]), where)
        elif isinstance(sample.get("label"), torch.Tensor):
            masks, labels = self._split(sample["label"], sample.pop("instance_classes", None), where)
            crowd = [False] * len(labels)
        else:
            raise ValueError(
                f"{where} has neither annotations nor a loaded instance map\n"
                "  mend   give data with annotated objects, or load the instance map at 'label' before"
            )
        mask = torch.from_numpy(masks)
        meta = {"filename_or_obj": where} if where != "the image" else None
        sample["mask"] = MetaTensor(mask, affine=image.affine, meta=meta) if isinstance(image, MetaTensor) else mask
        sample["label"] = torch.tensor(labels, dtype=torch.int64)
        sample["box"] = masks_to_boxes(mask)
        sample["crowd"] = torch.tensor(crowd, dtype=torch.bool)
        return sample

    def _drawn(self, annotations: Sequence[Mapping], size: tuple[int, ...], where: str) -> tuple:
        masks = np.zeros((len(annotations), *size), np.uint8)
        for number, annotation in enumerate(annotations):
            try:
                masks[number] = draw(annotation, size)
            except AnnotationError as error:
                raise ValueError(f"object {number + 1} of {where}: {error}; see `monai-seg check`") from error
        labels = [self._index(annotation.get("category"), where) for annotation in annotations]
        return masks, labels, [bool(annotation.get("iscrowd", 0)) for annotation in annotations]

    def _split(self, instance_map: torch.Tensor, classes: Mapping[str, str] | None, where: str) -> tuple:
        values = np.asarray(instance_map)[0]
        ids = np.unique(values)
        ids = ids[ids != 0]
        masks = np.stack([values == each for each in ids]) if len(ids) else np.zeros((0, *values.shape), bool)
        if classes is None and len(self.class_names) > 1:
            raise ValueError(
                f"the instance map of {where} tells no classes, and there are {len(self.class_names)}\n"
                '  mend   give "instance_classes": {"1": "name", ...} in the datalist, or a single class name'
            )
        names = [self.class_names[0] if classes is None else classes.get(str(int(each))) for each in ids]
        return masks.astype(np.uint8), [self._index(name, where) for name in names]

    def _index(self, name: Any, where: str) -> int:
        if name not in self.class_names:
            raise ValueError(
                f"{where} has an object of class {name!r}; class_names are {', '.join(self.class_names)}\n"
                "  mend   correct the class, or add it to class_names"
            )
        return self.class_names.index(name)


class RemoveCrowdd(MapTransform):
    """Take the crowds out of a sample: in training they are neither objects nor background that could be learnt.

    Args:
        keys: what the sample has one of for each object.
    """

    def __init__(self, keys: Sequence[str] = INSTANCE_KEYS) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        counted = ~sample["crowd"]
        return sample if counted.all() else sample | {key: sample[key][counted] for key in self.key_iterator(sample)}
