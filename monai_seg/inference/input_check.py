"""The inputs of a prediction: what they are, where their predictions go, and which of them cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_seg.data.cases import images
from monai_seg.data.check_case import Expected, check_case
from monai_seg.data.layouts.files import extension, stem
from monai_seg.data.layouts.listing import LayoutError, first_image
from monai_seg.data.raster import UnreadableError
from monai_seg.inference.label_map_file import prediction_name
from monai_seg.inference.scene import Scene, SceneFacts, open_scene
from monai_seg.inference.tile_preprocessing import NotStreamableError, TilePreprocessing, ValueRangeError

SCENE_PIXELS = 2**24  # 4096 x 4096: larger pictures are predicted as scenes


@dataclass(frozen=True)
class Task:
    """One input that is sound.

    Args:
        record: its image or images, as `monai_seg.data.images` gives them.
        output: file of its label map.
        is_scene: whether it is streamed.
    """

    record: dict[str, Any]
    output: Path
    is_scene: bool

    @property
    def file(self) -> str:
        """The file that names the input."""
        return first_image(self.record)


class InputError(ValueError):
    """An input that cannot be predicted; the others can."""


@dataclass(frozen=True)
class InputCheck:
    """Looks at inputs before anything is predicted.

    Args:
        spatial_dims, in_channels: of the network.
        output_dir: folder of the predictions.
        tiles: the bundle's preprocessing by bands, or why there is none.
        scene_pixels: pictures of more pixels are scenes; -1: all are.
        reads_rgb: whether the bundle reads by `RGBReader`; None: as ``tiles`` says.
    """

    spatial_dims: int
    in_channels: int
    output_dir: Path
    tiles: TilePreprocessing | NotStreamableError
    scene_pixels: int = SCENE_PIXELS
    reads_rgb: bool | None = None

    @property
    def as_rgb(self) -> bool:
        """Whether pictures are judged as `RGBReader` reads them."""
        if self.reads_rgb is None:
            return isinstance(self.tiles, TilePreprocessing) and self.tiles.reads_rgb
        return self.reads_rgb

    def task(self, record: dict[str, Any]) -> Task:
        """What is to be done for one record.

        Raises:
            InputError: it cannot be used; the text says why and how to mend it.
        """
        file = first_image(record)
        if extension(file).startswith(".nii"):
            if self.scene_pixels < 0:
                raise InputError("probabilities and polygons are for pictures, this is a volume")
            return self._ordinary(record, None)
        if self.spatial_dims != 2:
            raise InputError(f"a picture has 2 axes, the bundle takes {self.spatial_dims}")
        try:
            parts = [record["image"]] if isinstance(record["image"], str) else record["image"]
            scenes = [open_scene(part, self.as_rgb) for part in parts]
        except UnreadableError as error:
            raise InputError(_said(error)) from error
        try:
            channels = scenes[0].facts.channels if len(scenes) == 1 else len(scenes)
            if channels != self.in_channels:
                raise InputError(f"{channels} channels, the bundle takes {self.in_channels}")
            if len(scenes) == 1 and self._is_scene(scenes[0].facts):
                return self._scene(record, file)
            return self._ordinary(record, scenes)
        finally:
            for scene in scenes:
                scene.close()

    def _is_scene(self, facts: SceneFacts) -> bool:
        if facts.pixels > self.scene_pixels >= 0 and isinstance(self.tiles, TilePreprocessing):
            return True
        # Pillow cuts colours of 16 bits down to 8 and forgets the place on the ground; a streamed scene keeps both.
        is_deep_colour = facts.channels > 1 and facts.dtype.itemsize > 1
        return self.scene_pixels < 0 or bool(facts.geo_tags) or is_deep_colour

    def _scene(self, record: dict[str, Any], file: str) -> Task:
        if isinstance(self.tiles, NotStreamableError):
            raise InputError(f"it must be streamed, and this bundle cannot be: {self.tiles}")
        ending = ".tiff" if extension(file) == ".tiff" else ".tif"
        return Task(record, self.output_dir / (stem(file) + ending), is_scene=True)

    def _ordinary(self, record: dict[str, Any], scenes: Sequence[Scene] | None) -> Task:
        file = first_image(record)
        is_picture = scenes is not None
        expected = Expected(None, self.spatial_dims, self.in_channels, self.as_rgb and is_picture)
        faults = check_case(record, Path(file).parent, expected).faults
        if faults:
            raise InputError("\n".join(str(fault).removeprefix(f"case {fault.case}: ") for fault in faults))
        if isinstance(self.tiles, TilePreprocessing):
            for scene in scenes or []:
                try:
                    self.tiles.refuse_values_beyond(scene.rows(0, scene.facts.height))
                except (ValueRangeError, UnreadableError) as error:
                    raise InputError(_said(error)) from error
        return Task(record, self.output_dir / prediction_name(file), is_scene=False)


def records_of(inputs: Sequence[str | os.PathLike[str]]) -> Iterator[tuple[str, dict[str, Any] | InputError]]:
    """The images that files, folders and data sets hold, each once, or why an input holds none."""
    seen: set[str] = set()
    for given in inputs:
        try:
            for record in images(given):
                file = first_image(record)
                if file not in seen:
                    seen.add(file)
                    yield file, record
        except (LayoutError, OSError) as error:
            yield str(given), InputError(str(error))


def _said(error: Exception) -> str:
    return str(error).replace("{kind}", "image") if isinstance(error, UnreadableError) else str(error)
