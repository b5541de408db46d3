"""Predict a scene of any size to files: label map, probabilities and polygons, in memory that a row of tiles takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from monai_seg.data.atomic import atomic_path
from monai_seg.inference.polygons import require_rasterio, write_polygons
from monai_seg.inference.row_progress import RowProgress
from monai_seg.inference.scene import Scene
from monai_seg.inference.scene_cleaning import RowFile, SceneCleaning
from monai_seg.inference.streamed import Window, stream_prediction
from monai_seg.inference.strip_writer import StripWriter

_MOST_CLASSES = 256  # a byte per pixel


@dataclass(frozen=True)
class Decision:
    """From logits to a label map.

    Args:
        activation: ``"sigmoid"`` or ``"softmax"``, which makes probabilities of the logits.
        threshold: probability from which a pixel belongs to the one class; None takes the most likely class.

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

    def labels(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Class indices ``(n, W)``.

        Raises:
            ValueError: a threshold is to decide between several channels.
        """
        if self.threshold is None:
            if len(probabilities) > _MOST_CLASSES:
                raise ValueError(
                    f"{len(probabilities)} classes; the label map of a scene holds {_MOST_CLASSES} at most"
                )
            return probabilities.argmax(0)
        if len(probabilities) != 1:
            raise ValueError(
                f"the network gives {len(probabilities)} channels; a threshold makes a label map of one channel only"
            )
        return probabilities[0] >= self.threshold


@dataclass(frozen=True)
class SceneOutputs:
    """Files to write; each appears whole or not at all.

    Args:
        labels: TIFF of class indices, with the GeoTIFF tags of the scene.
        probabilities: TIFF of float32, a channel per class, with the same tags; None writes none.
        polygons: GeoJSON, see `write_polygons`; None writes none.
    """

    labels: Path
    probabilities: Path | None = None
    polygons: Path | None = None


@dataclass(frozen=True)
class ScenePredictor:
    """What does not change from scene to scene.

    Args:
        network: from tiles to logits, see `Consensus` for several networks or views.
        window: the tiles.
        decision: from logits to labels.
        cleaning: of the label map.
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
            TooManyObjectsError: the label map cannot be cleaned up in bounded memory.
        """
        if outputs.polygons is not None:
            require_rasterio()
        size = scene.facts.height, scene.facts.width
        rows = stream_prediction(read, size, self.window, self.network, self.device)
        with ExitStack() as stack:
            # The label map comes first on the stack and into place last: where it is, all is there.
            write_labels = stack.enter_context(self._label_writer(scene, outputs))
            write_probabilities: Callable | None = None
            progress, done = RowProgress(f"predict {scene.path.name}", scene.facts.height), 0
            for prediction in rows:
                probabilities = self.decision.probabilities(prediction)
                write_labels(self.decision.labels(probabilities).cpu().numpy())
                if outputs.probabilities is not None:
                    if write_probabilities is None:
                        path = stack.enter_context(atomic_path(outputs.probabilities))
                        write_probabilities = stack.enter_context(
                            StripWriter(path, *size, len(probabilities), np.float32, scene.facts.geo_tags)
                        ).write
                    write_probabilities(probabilities.movedim(0, -1).cpu().numpy())
                done += probabilities.shape[1]
                progress.at(done)

    @contextmanager
    def _label_writer(self, scene: Scene, outputs: SceneOutputs) -> Iterator[Callable[[np.ndarray], None]]:
        """Give what takes rows of labels; afterwards clean them up, and write what follows from them."""
        height, width = scene.facts.height, scene.facts.width
        with atomic_path(outputs.labels) as temporary:
            with StripWriter(temporary, height, width, tags=scene.facts.geo_tags) as writer:
                if not self.cleaning:
                    yield writer.write
                else:
                    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=outputs.labels.parent) as folder:
                        rows = RowFile(Path(folder) / "labels", height, width, np.uint8)
                        try:
                            yield rows.append
                            self.cleaning.clean(rows)
                            for _, band in rows.bands():
                                writer.write(band)
                        finally:
                            rows.close()
            if outputs.polygons is not None:
                write_polygons(temporary, outputs.polygons)
