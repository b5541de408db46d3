"""Seconds per image of trained detectors, beside torchvision's Mask R-CNN with ResNet-50, on the processor.

Run: python scripts/bench/detector_speed.py RUN... --images FOLDER [--count 8] [--rounds 5] [--threads 1]. Each run
predicts the same images, as its own configuration prepares them, in float32; files are read before. Rounds are
interleaved; medians, and ratios to the first run. torchvision's network has random weights, so it is only a scale.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn

from monai_seg.data import images
from monai_seg.inference.bundle_workflow import BundleWorkflow

BUNDLE = Path(__file__).parents[2] / "bundles" / "brain_tumor_mri_instances"
Detector = Callable[[list[torch.Tensor]], object]


def prepared(run: Path, records: list[dict]) -> tuple[str, torch.nn.Module, list[torch.Tensor]]:
    """Name and network of a run, and the images as it sees them."""
    workflow = BundleWorkflow(BUNDLE, [run])
    preprocessing = workflow.configuration.get_parsed_content("preprocessing")
    seen = [preprocessing(record)["image"].as_tensor() for record in records]
    weights = sum(weight.numel() for weight in workflow.network.parameters())
    return f"{type(workflow.network).__name__} ({weights / 1e6:.1f} million, {run.name})", workflow.network, seen


def torchvision_network(size: int) -> Detector:
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=size, box_detections_per_img=4).eval()
    return lambda images: network([image.expand(3, -1, -1) for image in images])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    records = images(options.images)[: options.count]
    contenders: list[tuple[str, Detector, list[torch.Tensor]]] = [prepared(run, records) for run in options.runs]
    seen = contenders[0][2]
    contenders.append(("torchvision maskrcnn_resnet50_fpn", torchvision_network(max(seen[0].shape)), seen))
    taken: list[list[float]] = [[] for _ in contenders]
    with torch.no_grad():
        for number in range(options.rounds + 1):
            for (_, network, shown), times in zip(contenders, taken, strict=True):
                began = time.perf_counter()
                for image in shown:
                    network([image])
                if number:  # the first round makes caches
                    times.append((time.perf_counter() - began) / len(shown))
    medians = [statistics.median(times) for times in taken]
    for (name, _, _), seconds in zip(contenders, medians, strict=True):
        sys.stdout.write(f"{name:<60}{seconds:8.3f} s an image {seconds / medians[0]:6.2f}\n")


if __name__ == "__main__":
    main()
