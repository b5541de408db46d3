"""Who is timed by `metrics.py`: our metrics and their peers, each with what it gets and what it is compared with.

Ours get label maps. Peers get a mask per class in the form that is fastest for them, ready made, which costs them no
time and no memory here: arrays in main memory (surface-distance), boolean tensors on the device (DisTorch, and MONAI's
surface Dice), or floating-point ones (MONAI's distances and overlap, which would convert them at each call).
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import monai.metrics.utils
import numpy as np
import torch
from metric_cases import Case
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)

from monai_seg.metrics import Dice, IoU
from monai_seg.metrics.surface import AverageSymmetricSurfaceDistance, HausdorffDistance, surface_dice

METRICS = {
    "nsd": "surface Dice (NSD)",
    "distances": "HD95 and average symmetric distance (ASSD)",
    "overlap": "Dice and IoU",
}


class Inputs:
    """A case in the forms that the contenders take."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case = case
        self.labels = (case.prediction.to(device), case.reference.to(device))

    def copied_labels(self) -> tuple[torch.Tensor, ...]:
        """Tensors that were never seen before, so that nothing found on them is remembered."""
        return tuple(labels.clone() for labels in self.labels)

    @cached_property
    def masks(self) -> tuple[torch.Tensor, ...]:
        """Prediction and reference, a channel per class, with background: ``(B, C, H, W[, D])``, bool."""
        classes = range(self.case.num_classes)
        return tuple(torch.cat([labels == label for label in classes], dim=1) for labels in self.labels)

    @cached_property
    def float_masks(self) -> tuple[torch.Tensor, ...]:
        return tuple(masks.float() for masks in self.masks)

    def foreground(self) -> tuple[torch.Tensor, ...]:
        return tuple(masks[:, 1:].contiguous() for masks in self.masks)

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(masks.cpu().numpy() for masks in self.foreground())


@dataclass(frozen=True)
class Contender:
    """Something that is timed.

    Attributes:
        metric: a key of `METRICS`.
        name: as the table says it.
        prepare: gives what ``compute`` takes after the case; neither timed nor counted as memory.
        compute: gives one or several measures ``(B, C)`` of the foreground classes.
        pair: name of the row of ours that has the same definition, None for ours.
        rounding: largest difference that the number format explains; None where the definition differs anyway.
    """

    metric: str
    name: str
    prepare: Callable[[Inputs], tuple]
    compute: Callable[..., Any]
    pair: str | None = None
    rounding: float | None = None


def values(found: Any) -> torch.Tensor:
    """What a contender gave as ``(measures, B, C)``, float64, in main memory."""
    measures = found if isinstance(found, (list, tuple)) else [found]
    return torch.stack([torch.as_tensor(measure).cpu().double() for measure in measures])


def tolerances(case: Case) -> list[float]:
    return [case.tolerance_mm] * (case.num_classes - 1)


def our_surface_dice(definition: str) -> Callable[..., torch.Tensor]:
    def compute(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return surface_dice(
            prediction,
            reference,
            tolerances(case),
            spacing=case.spacing_mm,
            num_classes=case.num_classes,
            definition=definition,
        )

    return compute


def our_distances(definition: str) -> Callable[..., list[torch.Tensor]]:
    def compute(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> list[torch.Tensor]:
        metrics = (
            HausdorffDistance(case.num_classes, percentile=95, definition=definition),
            AverageSymmetricSurfaceDistance(case.num_classes, definition=definition),
        )
        return [metric(prediction, reference, spacing=case.spacing_mm) for metric in metrics]

    return compute


def our_overlap(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> list[torch.Tensor]:
    return [metric(case.num_classes)(prediction, reference) for metric in (Dice, IoU)]


def monai_surface_dice(use_subvoxels: bool) -> Callable[..., torch.Tensor]:
    def compute(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return compute_surface_dice(
            prediction, reference, tolerances(case), spacing=case.spacing_mm, use_subvoxels=use_subvoxels
        )

    return compute


def monai_distances(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> list[torch.Tensor]:
    return [
        compute_hausdorff_distance(prediction, reference, percentile=95, spacing=case.spacing_mm),
        compute_average_surface_distance(prediction, reference, symmetric=True, spacing=case.spacing_mm),
    ]


def monai_overlap(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> list[torch.Tensor]:
    return [compute(prediction, reference, include_background=False) for compute in (compute_dice, compute_iou)]


def surface_distances(case: Case, prediction: np.ndarray, reference: np.ndarray, *measures: Callable) -> np.ndarray:
    """Measures of the surface-distance package, mask by mask: ``(measures, B, C)``."""
    from surface_distance import compute_surface_distances

    found = np.empty((len(measures), *prediction.shape[:2]))
    for place in np.ndindex(prediction.shape[:2]):
        distances = compute_surface_distances(reference[place], prediction[place], case.spacing_mm)
        for index, measure in enumerate(measures):
            found[(index, *place)] = measure(distances)
    return found


def package_surface_dice(case: Case, *arrays: np.ndarray) -> np.ndarray:
    from surface_distance import compute_surface_dice_at_tolerance

    return surface_distances(case, *arrays, lambda found: compute_surface_dice_at_tolerance(found, case.tolerance_mm))[
        0
    ]


def package_distances(case: Case, *arrays: np.ndarray) -> list[np.ndarray]:
    from surface_distance import compute_robust_hausdorff

    def average(found: dict[str, np.ndarray]) -> float:
        areas = np.concatenate([found["surfel_areas_gt"], found["surfel_areas_pred"]])
        return np.average(np.concatenate([found["distances_gt_to_pred"], found["distances_pred_to_gt"]]), weights=areas)

    return list(surface_distances(case, *arrays, lambda found: compute_robust_hausdorff(found, 95), average))


def distorch_metrics(case: Case, prediction: torch.Tensor, reference: torch.Tensor) -> Any:
    """All boundary metrics of DisTorch, which takes batches of pictures with one leading axis only."""
    import distorch

    batch = prediction.shape[:2]
    if prediction.ndim == 4:
        prediction, reference = prediction.flatten(0, 1), reference.flatten(0, 1)
    found = distorch.boundary_metrics(
        prediction, reference, element_size=case.spacing_mm, distance_threshold=case.tolerance_mm
    )
    return {name: measure.reshape(batch) for name, measure in vars(found).items()}


def distorch_surface_dice(case: Case, *masks: torch.Tensor) -> torch.Tensor:
    return distorch_metrics(case, *masks)["NormalizedSymmetricSurfaceDistance"]


def distorch_distances(case: Case, *masks: torch.Tensor) -> list[torch.Tensor]:
    found = distorch_metrics(case, *masks)
    hausdorff = torch.maximum(found["Hausdorff95_1_to_2"], found["Hausdorff95_2_to_1"])
    return [hausdorff, found["AverageSymmetricSurfaceDistance"]]


def monai_path(device: torch.device) -> str:
    """How MONAI finds distances on a device, which depends on its version and on what is installed."""
    if device.type == "cuda":
        return "cuCIM" if importlib.util.find_spec("cucim") else "scipy's EDT on the CPU"
    return "KD-tree" if getattr(monai.metrics.utils, "has_scipy_kdtree", False) else "scipy's EDT"


def contenders(metrics: Sequence[str], device: torch.device) -> tuple[list[Contender], list[str]]:
    """Those that can be had here, ours first in each metric, and lines that name the others."""
    warnings.filterwarnings("ignore", module=r"surface_distance|monai")
    labels, foreground, path = Inputs.copied_labels, Inputs.foreground, monai_path(device)
    arrays, masks, floats = (attrgetter(form) for form in ("arrays", "masks", "float_masks"))
    ours, with_subvoxels, with_borders = "monai-seg", "monai-seg, MONAI's subvoxels", "monai-seg, MONAI's borders"
    found = [
        Contender("nsd", ours, labels, our_surface_dice("subvoxel")),
        Contender("nsd", "surface-distance", arrays, package_surface_dice, ours, 1e-12),
        Contender("nsd", "DisTorch", foreground, distorch_surface_dice, ours),
        Contender("nsd", with_subvoxels, labels, our_surface_dice("monai_subvoxel")),
        Contender("nsd", f"MONAI, subvoxels, {path}", masks, monai_surface_dice(True), with_subvoxels, 1e-5),
        Contender("nsd", with_borders, labels, our_surface_dice("monai_border")),
        Contender("nsd", f"MONAI, default, {path}", masks, monai_surface_dice(False), with_borders, 1e-6),
        Contender("distances", ours, labels, our_distances("subvoxel")),
        Contender("distances", "surface-distance", arrays, package_distances, ours, 1e-9),
        Contender("distances", "DisTorch", foreground, distorch_distances, ours),
        Contender("distances", with_borders, labels, our_distances("monai_border")),
        Contender("distances", f"MONAI, {path}", floats, monai_distances, with_borders, 1e-4),
        Contender("overlap", ours, labels, our_overlap),
        Contender("overlap", "MONAI", floats, monai_overlap, ours, 1e-6),
    ]
    missing = {
        name: f"{name} is not installed: left out"
        for name, module in (("surface-distance", "surface_distance"), ("DisTorch", "distorch"))
        if importlib.util.find_spec(module) is None
    }
    kept = [each for each in found if each.metric in metrics and each.name not in missing]
    return kept, list(missing.values())
