"""A label map that is read as foreground and background, and two of them that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations

import numpy as np

from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts.files import extension
from monai_seg.data.raster import UnreadableError
from monai_seg.inference.scene import Scene
from monai_seg.review.georeferencing import difference, is_comparable, read_georeferencing


class ReviewError(ValueError):
    """Files that cannot be reviewed; the text says which, why, and how to mend it."""

    def __init__(self, problem: str, facts: Sequence[str], mend: str) -> None:
        super().__init__(str(Fault("", problem, tuple(facts), mend)))


@contextmanager
def told_of(role: str, path: object) -> Iterator[None]:
    """Name the file in what is said of one that cannot be read."""
    try:
        yield
    except UnreadableError as error:
        remark = error.remark
        problem = remark.problem.format(kind=role)
        raise ReviewError(problem, [fact(role, str(path), remark.found)], remark.mend) from error


class LabelMap:
    """Foreground of a label map.

    Args:
        role: what the map is, for messages: "reference" or "prediction".
        scene: the file.
        labels: the values that are foreground; none: every value but 0.

    Raises:
        ReviewError: the file holds no label map: colours, fractions, or a compression that alters values.
    """

    def __init__(self, role: str, scene: Scene, labels: Sequence[int] = ()) -> None:
        self.role, self.scene, self.labels = role, scene, tuple(labels)
        self._range: tuple[int, int] | None = None
        self._is_found = False
        facts, name = scene.facts, str(scene.path)
        if facts.channels != 1:
            found = fact(role, name, f"{facts.channels} channels")
            raise ReviewError(f"the {role} is in colours", [found], "save one number per pixel, its class")
        if facts.dtype.kind not in "ui":
            mend = "cut the probabilities at a threshold and save the label map"
            raise ReviewError(f"the {role} holds fractions", [fact(role, name, str(facts.dtype))], mend)
        if extension(scene.path) in (".jpg", ".jpeg"):
            mend = "save the label map as PNG or TIFF, from the original"
            raise ReviewError(f"the {role} is a JPEG, which alters labels", [fact(role, name)], mend)

    def mask(self, start: int, stop: int) -> np.ndarray:
        """Foreground of rows from ``start`` up to and without ``stop``, ``(stop - start, W)``, bool.

        Raises:
            ReviewError: this part of the file is damaged.
        """
        with told_of(self.role, self.scene.path):
            values = self.scene.rows(start, stop)[..., 0]
        present = values[values != 0]
        if present.size:
            ends = (int(present.min()), int(present.max()), *(self._range or ()))
            self._range = min(ends), max(ends)
        mask = np.isin(values, self.labels) if self.labels else values != 0
        self._is_found = self._is_found or bool(mask.any())
        return mask

    def note(self) -> str | None:
        """What the user should know of the labels that were read; None where there is nothing to say."""
        if self._range is None:
            return None
        lowest, highest = self._range
        held = f"labels from {lowest} to {highest}"
        if not self.labels and lowest != highest:
            return f"the {self.role} holds {held}; all of them count as foreground, --class takes one"
        if self.labels and not self._is_found:
            wanted = " or ".join(map(str, self.labels))
            return f"the {self.role} holds {held}, but no {wanted}; --reference-values and --class say what is meant"
        return None


def compare_places(scenes: Mapping[str, Scene]) -> list[str]:
    """Refuse files that do not lie on each other.

    Args:
        scenes: reference, prediction and perhaps an image, by their role.

    Returns:
        Notes on what could not be compared.

    Raises:
        ReviewError: they differ in size, in position or in coordinate system.
    """
    notes = []
    places = {role: read_georeferencing(scene.facts.geo_tags) for role, scene in scenes.items()}
    for pair in combinations(scenes, 2):
        facts = [scenes[role].facts for role in pair]
        both = " and ".join(pair)
        if (facts[0].height, facts[0].width) != (facts[1].height, facts[1].width):
            sizes = [f"{item.width} x {item.height} px" for item in facts]
            mend = "give files of the same pixels; none is resized here"
            raise ReviewError(f"{both} differ in size", _found(scenes, pair, sizes), mend)
        first, second = (places[role] for role in pair)
        if first is None or second is None:
            continue
        if kind := difference(first, second, facts[0].height, facts[0].width):
            mend = "warp one onto the grid of the other with nearest neighbour (gdalwarp)"
            raise ReviewError(f"{both} differ {kind}", _found(scenes, pair, [str(first), str(second)]), mend)
        if not is_comparable(first, second):
            notes.append(f"whether {both} are in one coordinate system cannot be said: not both name an EPSG code")
    return notes + _lacking(scenes, places)


def _lacking(scenes: Mapping[str, Scene], places: Mapping[str, object]) -> list[str]:
    """A note where one map has a position and the other has not; of pictures without any there is nothing to say."""
    maps = [role for role in ("reference", "prediction") if role in scenes]
    without = [role for role in maps if places[role] is None]
    if len(without) != 1:
        return []
    return [f"the {without[0]} has no georeferencing ({scenes[without[0]].path}); it is taken to lie on the other"]


def _found(scenes: Mapping[str, Scene], roles: Sequence[str], values: Sequence[str]) -> list[str]:
    return [fact(role, str(scenes[role].path), value) for role, value in zip(roles, values, strict=True)]
