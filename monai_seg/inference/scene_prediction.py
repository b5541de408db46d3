"""Predict a scene of any size to files: label map, probabilities and polygons, in memory that a row of tiles takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from monai_seg.data.atomic import atomic_path
from monai_seg.inference.label_map_file import ClassMaskError, mask_folders
from monai_seg.inference.polygons import require_rasterio, write_polygons
from monai_seg.inference.row_progress import RowProgress
from monai_seg.inference.scene import Scene
from monai_seg.inference.scene_cleaning import RowFile, SceneCleaning
from monai_seg.inference.streamed import Window, stream_prediction
from monai_seg.inference.strip_writer import StripWriter

_MOST_CLASSES = 256  # a byte per pixel


@dataclass(frozen=True)
class Decision:
    """From logits to a label map, or to masks of classes that may overlap.

    Args:
        activation: ``"sigmoid"`` or ``"softmax"``, which makes probabilities of the logits.
        threshold: probability from which a pixel belongs to the class of a channel; None takes the most likely class.

    Raises:
        ValueError: the activation is unknown, or the threshold no probability.
    """

    activation: str
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.activation not in ("sigmoid", "softmax"):
            raise ValueError(f"activation is {self.activation!r}; give sigmoid or softmax")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; give a probability from 0 to 1")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits ``(K, n, W)``."""
        return logits.sigmoid() if self.activation == "sigmoid" else logits.softmax(0)

    def label_maps(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Class indices ``(1, n, W)``; with a threshold the mask of each channel, ``(K, n, W)``.

        Raises:
            ValueError: there are more classes than a label map holds.
        """
        if self.threshold is not None:
            return probabilities >= self.threshold
        if len(probabilities) > _MOST_CLASSES:
            raise ValueError(f"{len(probabilities)} classes; the label map of a scene holds {_MOST_CLASSES} at most")
        return probabilities.argmax(0, keepdim=True)


@dataclass(frozen=True)
class SceneOutputs:
    """Files to write; each appears whole or not at all.

    Args:
        labels: TIFF of class indices, with the GeoTIFF tags of the scene.
        probabilities: TIFF of float32, a channel per class, with the same tags; None writes none.
        polygons: GeoJSON, see `write_polygons`; None writes none.
        class_names: of classes that may overlap: each has a label map and polygons of its own, of these names in a
            folder of its class (`mask_folders`).

    Raises:
        ClassMaskError: a class cannot have a folder.
    """

    labels: Path
    probabilities: Path | None = None
    polygons: Path | None = None
    class_names: tuple[str, ...] = ()

    @property
    def label_maps(self) -> list[Path]:
        """One label map, or a mask of each class."""
        return self._of_classes(self.labels)

    @property
    def polygon_files(self) -> list[Path]:
        """As many as `label_maps`, or none."""
        return [] if self.polygons is None else self._of_classes(self.polygons)

    @property
    def files(self) -> list[Path]:
        """All files."""
        return [*self.label_maps, *([self.probabilities] if self.probabilities else []), *self.polygon_files]

    def _of_classes(self, path: Path) -> list[Path]:
        folders = mask_folders(path.parent, self.class_names) or [path.parent]
        return [folder / path.name for folder in folders]


@dataclass(frozen=True)
class ScenePredictor:
    """What does not change from scene to scene.

    Args:
        network: from tiles to logits, see `Consensus` for several networks or views.
        window: the tiles.
        decision: from logits to labels.
        cleaning: of each label map.
        device: where the network computes.
    """

    network: Callable[[torch.Tensor], torch.Tensor]
    window: Window
    decision: Decision
    cleaning: SceneCleaning = field(default_factory=SceneCleaning)
    device: torch.device | str = "cpu"

    def predict(self, scene: Scene, read: Callable[[int, int], torch.Tensor], outputs: SceneOutputs) -> None:
        """Predict a scene to files.

        Args:
            scene: gives the size and the GeoTIFF tags.
            read: normalised rows of it, see `TilePreprocessing.for_scene`.
            outputs: files to write.

        Raises:
            MissingPackageError: polygons are asked for and rasterio is not installed.
            ClassMaskError: classes may overlap, and not each has a name that can be a folder's.
            TooManyObjectsError: the label map cannot be cleaned up in bounded memory.
        """
        if outputs.polygons is not None:
            require_rasterio()
        size = scene.facts.height, scene.facts.width
        rows = stream_prediction(read, size, self.window, self.network, self.device)
        # Work on all files ends before the first comes into its place; of those the label maps come last, so that all
        # is there where one is.
        with ExitStack() as places, ExitStack() as work:
            maps = [places.enter_context(atomic_path(path)) for path in outputs.label_maps]
            polygons = [places.enter_context(atomic_path(path)) for path in outputs.polygon_files]
            writers = [work.enter_context(self._map_writer(scene, *paths)) for paths in zip_longest(maps, polygons)]
            write_probabilities: Callable | None = None
            progress, done = RowProgress(f"predict {scene.path.name}", scene.facts.height), 0
            for prediction in rows:
                probabilities = self.decision.probabilities(prediction)
                labels = self.decision.label_maps(probabilities)
                _refuse_unnamed(labels, outputs)
                for write, of_map in zip(writers, labels.cpu().numpy(), strict=True):
                    write(of_map)
                if outputs.probabilities is not None:
                    if write_probabilities is None:
                        path = places.enter_context(atomic_path(outputs.probabilities))
                        write_probabilities = work.enter_context(
                            StripWriter(path, *size, len(probabilities), np.float32, scene.facts.geo_tags)
                        ).write
                    write_probabilities(probabilities.movedim(0, -1).cpu().numpy())
                done += probabilities.shape[1]
                progress.at(done)

    @contextmanager
    def _map_writer(self, scene: Scene, path: Path, polygons: Path | None) -> Iterator[Callable[[np.ndarray], None]]:
        """Give what takes rows of a label map; afterwards clean them up, and write what follows from them."""
        height, width = scene.facts.height, scene.facts.width
        with StripWriter(path, height, width, tags=scene.facts.geo_tags) as writer:
            if not self.cleaning:
                yield writer.write
            else:
                with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
                    rows = RowFile(Path(folder) / "labels", height, width, np.uint8)
                    try:
                        yield rows.append
                        self.cleaning.clean(rows)
                        for _, band in rows.bands():
                            writer.write(band)
                    finally:
                        rows.close()
        if polygons is not None:
            write_polygons(path, polygons)


def _refuse_unnamed(labels: torch.Tensor, outputs: SceneOutputs) -> None:
    if len(labels) != len(outputs.label_maps):
        raise ClassMaskError(
            f"the network gives {len(labels)} channels; a threshold makes a mask of each, and the bundle names "
            f"{len(outputs.class_names)} classes\n  mend   give inference.yaml class_names, one for each channel"
        )
