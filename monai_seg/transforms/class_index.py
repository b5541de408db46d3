"""The name of a class as the number that a network knows it by: `ClassIndexd`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils.enums import CommonKeys as Keys


class ClassIndexd(MapTransform):
    """Leave the index of a class, from 0 on, beside its name.

    Args:
        class_names: index 0 first.
        keys: of the name.
        label_key: where the index goes.
        allow_missing_keys: as in MONAI.

    Raises:
        ValueError: names are given twice; when it is called: the class is none of them.

    Example:
        >>> ClassIndexd(["anger", "fear"])({"class": "fear"})
        {'class': 'fear', 'label': 1}
    """

    def __init__(
        self,
        class_names: Sequence[str],
        keys: KeysCollection = "class",
        label_key: str = Keys.LABEL,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(set(class_names)) < len(class_names):
            raise ValueError(f"class_names are {', '.join(class_names)}; name each class once")
        self.index_of = {name: index for index, name in enumerate(class_names)}
        self.label_key = str(label_key)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        sample = dict(data)
        for key in self.key_iterator(sample):
            name = sample[key]
            if name not in self.index_of:
                raise ValueError(f"class {name!r} is none of {', '.join(self.index_of)}; see data.with_classes")
            sample[self.label_key] = self.index_of[str(name)]
        return sample
