"""Cross-validated figures of a detector: the mean over folds of each measure, with intervals over patients.

Run: python scripts/bench/instance_folds.py RUN RUN ... [--resamples 1000]. Each run is one fold of the bundle
brain_tumor_mri_instances, evaluated on its validation section, so that its ``predictions/results.json`` is there. The
groups of its ``datalist.json`` are drawn with replacement within each fold, every measure is computed anew, and the
folds are averaged.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from monai_seg.handlers.object_evaluation import ClassJudgement, resampled_weights
from monai_seg.metrics.detection import ImageObjects
from monai_seg.metrics.detection.matching import COCO_THRESHOLDS

MEASURES = ("ap50", "ap", "box_ap50", "box_ap", "froc")
COUNTED = ("dice", "f1", "matched_iou")  # of what is reported, from summary.json


def images_of(results: dict) -> list[ImageObjects]:
    """The objects of ``results.json``, in the order of its images."""
    images = []
    for entry in results["images"]:
        found = [each for each in results["results"] if each["image_id"] == entry["id"]]
        wanted = [each for each in results["annotations"] if each["image_id"] == entry["id"]]
        codes, labels, boxes = zip(*(_parts(part) for part in (found, wanted)), strict=True)
        images.append(
            ImageObjects(
                entry["file_name"],
                (entry["height"], entry["width"]),
                codes[0],
                boxes[0],
                labels[0],
                np.array([each["score"] for each in found], float),
                codes[1],
                boxes[1],
                labels[1],
                np.array([each["iscrowd"] for each in wanted], bool),
            )
        )
    return images


def _parts(entries: list[dict]) -> tuple[list[dict], np.ndarray, np.ndarray]:
    codes = [each["segmentation"] for each in entries if "segmentation" in each]
    boxes = np.array([each["bbox"] for each in entries], float).reshape(-1, 4)
    left, top, width, height = boxes.T
    edges = np.stack([top, left, top + height, left + width], axis=1)
    return codes, np.array([each["category_id"] - 1 for each in entries], np.int64), edges


def groups_of(run: Path, images: list[ImageObjects]) -> list[str]:
    """The patient of each image, as the run's sections name it."""
    records = json.loads((run / "datalist.json").read_text())["validation"]
    by_file = {Path(record["image"]).name: str(record.get("group", record["image"])) for record in records}
    return [by_file[Path(image.name).name] for image in images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    whole, drawn, counted = [], [], []
    for number, run in enumerate(arguments.runs):
        results = json.loads((run / "predictions" / "results.json").read_text())
        images = images_of(results)
        weights = resampled_weights(groups_of(run, images), arguments.resamples, seed=number)
        judged = [ClassJudgement.of(images, label, COCO_THRESHOLDS) for label in range(len(results["categories"]))]
        scores, spread = [each.scores() for each in judged], [each.scores(weights) for each in judged]
        whole.append({name: np.mean([each[name][0] for each in scores]) for name in MEASURES})
        drawn.append({name: np.mean([each[name] for each in spread], axis=0) for name in MEASURES})
        summary = json.loads((run / "metrics" / "summary.json").read_text())
        counted.append({name: summary[name]["mean"]["mean"] for name in COUNTED})
    lines = [f"{len(whole)} folds", f"{'measure':12}  {'mean':>6}  {'95% interval':16}  {'worst':>6}  {'best':>6}"]
    for name in (*MEASURES, *COUNTED):
        values = [each[name] for each in (whole if name in MEASURES else counted)]
        interval = ""
        if name in MEASURES:
            low, high = np.nanquantile(np.mean([each[name] for each in drawn], axis=0), [0.025, 0.975])
            interval = f"[{low:.3f}, {high:.3f}]"
        lines.append(f"{name:12}  {np.mean(values):6.3f}  {interval:16}  {min(values):6.3f}  {max(values):6.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
