"""Values of a mask file as classes: one label map, or one mask per class where classes overlap."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.data.meta_obj import get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor

MOST_CLASSES = 255  # that a label map of uint8 tells from background


class ClassMasks(Transform):
    """Name the classes by the values that mask files give them; a value of no class is background.

    Args:
        class_values: one list of mask-file values per class, as ``[[1], [2]]``. Where classes overlap, as nnU-Net's
            regions do, a value is in several lists: with ``[[1, 3], [2, 3]]`` a 3 is a tree over a building.
        multi_label: one mask per class, which may overlap, instead of one label map.

    Shape:
        labels ``(1, H, W[, D])``, whole numbers of any dtype. Gives uint8: a label map ``(1, H, W[, D])``, 0 for
        background and 1 to C for the classes in their order; with ``multi_label`` masks ``(C, H, W[, D])`` of 0 and 1.

    Raises:
        ValueError: a class has no value, a value of a label map is under two classes, labels are no whole numbers, or
            they have more than one channel.

    Example:
        >>> labels = torch.tensor([[[0, 1, 2, 3]]])
        >>> ClassMasks([[1, 3], [2, 3]], multi_label=True)(labels).tolist()
        [[[0, 1, 0, 1]], [[0, 0, 1, 1]]]
    """

    def __init__(self, class_values: Sequence[Sequence[int]], multi_label: bool = False) -> None:
        if isinstance(class_values, str) or any(isinstance(each, (int, float, str)) for each in class_values):
            raise ValueError(f"class_values is {class_values}; give one list of values per class, as [[1], [2]]")
        self.class_values, self.multi_label = [list(values) for values in class_values], multi_label
        if not self.class_values or not all(self.class_values):
            raise ValueError(f"class_values is {class_values}; give at least one value for each class")
        values = [value for each in self.class_values for value in set(each)]
        if any(value != int(value) for value in values):
            raise ValueError(f"class_values is {class_values}; give whole numbers, as mask files hold")
        if multi_label:
            return
        shared = sorted({value for value in values if values.count(value) > 1})
        if shared:
            raise ValueError(
                f"class_values is {class_values}: {shared[0]} is under two classes; a pixel of a label map has one\n"
                "  mend   set multi_label to true where classes overlap, or give each value to one class"
            )
        if len(self.class_values) > MOST_CLASSES:
            raise ValueError(f"{len(self.class_values)} classes: a label map of uint8 holds {MOST_CLASSES}")

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        labels = convert_to_tensor(labels, track_meta=get_track_meta())
        if labels.shape[0] != 1:
            raise ValueError(
                f"the mask has {labels.shape[0]} channels, expected one of class values\n"
                "  mend   save masks as grey or palette pictures; colours name no classes"
            )
        values = convert_to_tensor(labels, track_meta=False)
        if values.is_floating_point() and not (values == values.round()).logical_and(values.isfinite()).all():
            raise ValueError(
                "the mask holds fractions or NaN, expected the whole numbers of classes\n"
                "  mend   resample masks by nearest neighbour, and scale none"
            )
        values = values.to(torch.int64)
        masks = [torch.isin(values, torch.tensor(each, device=values.device)) for each in self.class_values]
        if self.multi_label:
            classes = torch.cat(masks)
        else:
            classes = torch.zeros_like(values, dtype=torch.uint8)
            for index, mask in enumerate(masks, start=1):
                classes[mask] = index
        return convert_to_dst_type(classes, labels, dtype=torch.uint8)[0]


class ClassMasksd(MapTransform):
    """Dictionary form of `ClassMasks`.

    Args:
        keys: mask files' labels.
        class_values, multi_label: see `ClassMasks`.
        allow_missing_keys: do not raise where a key is absent.
    """

    backend = ClassMasks.backend

    def __init__(
        self,
        keys: KeysCollection,
        class_values: Sequence[Sequence[int]],
        multi_label: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.converter = ClassMasks(class_values, multi_label)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.converter(sample[key])
        return sample
