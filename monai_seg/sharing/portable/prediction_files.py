"""Predictions as files: label maps in the geometry of their images, objects as COCO JSON, classes as a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events


class PredictionFiles:
    """Write what a network predicts of each image.

    Args:
        output_dir: folder of the files, relative to the working directory.
        gives: ``"image"``: a label map of each image, or one in a folder of its class for each class that may
            overlap; ``"object"``: ``objects.json``, a COCO data set, and label maps whose 1 is the best object;
            ``"probabilities"``: ``classes.csv``.
        class_names: index 0 first; of label maps, those of labels 1, 2 ...
        network: of a detector: keeps the ``score_threshold`` from which an object counts.
    """

    def __init__(
        self, output_dir: str, gives: str, class_names: Sequence[str], network: torch.nn.Module | None = None
    ) -> None:
        self.output_dir, self.gives, self.class_names, self.network = Path(output_dir), gives, class_names, network
        self._found: dict[str, Any] = {}

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator whose output is decollated."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            file, prediction = _file(sample), output["pred"]
            if self.gives == "image":
                self._write_label_maps(np.asarray(prediction.cpu()), file)
            elif self.gives == "object":
                self._found[file.name] = (_size(sample, prediction), prediction)
                self._write_label_maps(self._instance_map(*self._found[file.name])[None], file)
            else:
                self._found[str(file)] = prediction.double().tolist()

    def _write_label_maps(self, maps: np.ndarray, file: Path) -> None:
        for index, labels in enumerate(maps):
            folder = self.output_dir if len(maps) == 1 else self.output_dir / self.class_names[index]
            folder.mkdir(parents=True, exist_ok=True)
            write_label_map(labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16), file, folder)

    def _write(self) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.gives == "object":
            text = json.dumps(self._objects()) + "\n"
            (self.output_dir / "objects.json").write_text(text, encoding="utf-8")
        elif self.gives == "probabilities":
            self._write_classes()

    def _write_classes(self) -> None:
        with (self.output_dir / "classes.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file", "class", *(f"probability_{name}" for name in self.class_names)])
            for name, shares in sorted(self._found.items()):
                best = self.class_names[max(range(len(shares)), key=shares.__getitem__)]
                writer.writerow([name, best, *(f"{share:.6f}" for share in shares)])

    def _confident(self, found: Mapping[str, Any]) -> list[int]:
        """Which objects count, the best first."""
        threshold = float(getattr(self.network, "score_threshold", 0.5))
        order = torch.argsort(found["label_scores"], descending=True, stable=True).tolist()
        return [index for index in order if float(found["label_scores"][index]) >= threshold]

    def _instance_map(self, size: tuple[int, int], found: Mapping[str, Any]) -> np.ndarray:
        labels = np.zeros(size, np.int32)
        for number, index in reversed(list(enumerate(self._confident(found), start=1))):
            labels[np.asarray(found["mask"][index].cpu()) > 0] = number
        return labels

    def _objects(self) -> dict[str, Any]:
        from pycocotools import mask as coco_mask

        categories = [{"id": number, "name": name} for number, name in enumerate(self.class_names, start=1)]
        content: dict[str, Any] = {"images": [], "categories": categories, "annotations": []}
        for number, (name, ((height, width), found)) in enumerate(sorted(self._found.items()), start=1):
            content["images"].append({"id": number, "file_name": name, "height": height, "width": width})
            for index in self._confident(found):
                mask = np.asfortranarray(np.asarray(found["mask"][index].cpu()) > 0, dtype=np.uint8)
                if not mask.any():
                    continue
                top, left, bottom, right = found["box"][index].double().tolist()
                code = coco_mask.encode(mask)
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": number,
                        "category_id": int(found["label"][index]) + 1,
                        "bbox": [left, top, right - left, bottom - top],
                        "segmentation": {**code, "counts": code["counts"].decode()},
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                        "score": float(found["label_scores"][index]),
                    }
                )
        return content


def write_label_map(labels: np.ndarray, image: Path, folder: Path) -> None:
    """Write class indices under the name of their image: NIfTI with its affine, TIFF for TIFF, PNG for the rest."""
    lower = image.name.lower()
    if lower.endswith((".nii", ".nii.gz")):
        import nibabel as nib

        source: Any = nib.load(image)
        header = source.header.copy()
        header.set_data_dtype(labels.dtype)
        header.set_slope_inter(1, 0)
        name = image.name[: lower.rindex(".nii")]
        nib.save(type(source)(labels, source.affine, header), folder / f"{name}.nii.gz")
    else:
        from PIL import Image

        ending = image.suffix.lower() if lower.endswith((".tif", ".tiff")) else ".png"
        Image.fromarray(labels).save(folder / (image.stem + ending))


def _file(sample: Mapping[str, Any]) -> Path:
    name = sample["image"].meta["filename_or_obj"]
    return Path(name if isinstance(name, str) else name[0])


def _size(sample: Mapping[str, Any], prediction: Mapping[str, Any]) -> tuple[int, int]:
    shape = prediction["mask"].shape[1:] if "mask" in prediction else sample["image"].meta["spatial_shape"]
    return int(shape[0]), int(shape[1])
