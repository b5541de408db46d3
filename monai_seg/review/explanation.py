"""Saliency maps of the cases of a run: those that are asked for, and those that it got most confidently wrong."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils.enums import CommonKeys as Keys
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from monai_seg.data.atomic import atomic_path
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.run_folder import RunFolder
from monai_seg.handlers.contact_sheet import contact_sheet
from monai_seg.handlers.panel import grey_levels
from monai_seg.review.saliency import METHODS, saliency_map

logger = logging.getLogger(__name__)
_DEFAULT = ("gradcam", "gradcam++", "occlusion")


class UnknownCaseError(ValueError):
    """A case that is to be explained is none of those that were evaluated."""


def explain_cases(
    run_folder: RunFolder,
    network: torch.nn.Module,
    dataset: Any,
    class_names: Sequence[str],
    cases: Sequence[str] = (),
    worst: int = 6,
    methods: Sequence[str] = _DEFAULT,
) -> Path:
    """Draw maps of the predicted class, a row for each case, into ``figures/saliency.png`` and TensorBoard.

    Args:
        run_folder: of an evaluated run; its table tells what was predicted.
        network: with the run's weights.
        dataset: the evaluated cases, as the network takes them.
        class_names: index 0 first.
        cases: names of cases to explain, as ``case`` or ``file`` in ``per_case.csv``.
        worst: how many of the wrong cases to add, the most confident first.
        methods: see `saliency_map`.

    Returns:
        The picture.

    Raises:
        UnknownCaseError: there is no such case.
        ValueError: a method is not known, the run was not evaluated, or there is nothing to explain.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"methods hold {', '.join(unknown)}; give some of {', '.join(METHODS)}")
    rows = _chosen(_table(run_folder.results / "per_case.csv"), cases, worst)
    places = {os.path.abspath(first_image(record)): place for place, record in enumerate(dataset.data)}
    tiles: list[np.ndarray] = []
    captions: list[str] = []
    for row in rows:
        place = next((at for file, at in places.items() if file.replace(os.sep, "/").endswith(f"/{row['file']}")), None)
        if place is None:
            raise UnknownCaseError(f"{row['file']} is in the table of the run, but not in its data")
        image = torch.as_tensor(dataset[place][Keys.IMAGE])
        said = class_names.index(row["prediction"])
        tiles.append(grey_levels(image.float().numpy()))
        confidence = float(row[f"probability_{row['prediction']}"])
        captions.append(f"{row['prediction']} {confidence:.2f}\nis {row['reference']}")
        for method in methods:
            tiles.append(overlaid(tiles[-1 - methods.index(method)], saliency_map(network, image, said, method)))
            captions.append(f"{method}\n{Path(row['file']).stem}")
    sheet = contact_sheet(tiles, captions, "maps of the predicted class", columns=1 + len(methods))
    picture = run_folder.figures / "saliency.png"
    with atomic_path(picture) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
    with SummaryWriter(str(run_folder.path / "tensorboard")) as writer:
        writer.add_image("saliency", sheet, dataformats="HWC")
    logger.info("saliency maps: %s", picture)
    return picture


def overlaid(picture: np.ndarray, values: torch.Tensor, strength: float = 0.55) -> np.ndarray:
    """Lay a map over a picture: what speaks for the class in orange, what speaks against it in blue.

    Args:
        picture: ``(H, W)`` or ``(H, W, 3)``, uint8.
        values: ``(H, W)``; scaled by the largest absolute value.
        strength: share of the colour where the map is strongest.
    """
    base = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    shares = values.numpy() / max(float(values.abs().max()), 1e-12)
    colour = np.where(shares[..., None] > 0, np.array([230.0, 159.0, 0.0]), np.array([0.0, 114.0, 178.0]))
    weight = strength * np.abs(shares)[..., None]
    return np.rint(base * (1 - weight) + colour * weight).astype(np.uint8)


def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise ValueError(f"there is no {path}\n  mend   evaluate the run first")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _chosen(table: Sequence[dict[str, str]], cases: Sequence[str], worst: int) -> list[dict[str, str]]:
    named = {row[key]: row for row in table for key in ("case", "file")}
    unknown = [case for case in cases if case not in named]
    if unknown:
        raise UnknownCaseError(
            f"no case {unknown[0]!r} was evaluated\n  mend   give names of the column case or file of per_case.csv"
        )
    wrong = [row for row in table if row["prediction"] != row["reference"]]
    wrong.sort(key=lambda row: (-float(row[f"probability_{row['prediction']}"]), row["file"]))
    rows = list({row["file"]: row for row in [*(named[case] for case in cases), *wrong[:worst]]}.values())
    if not rows:
        raise ValueError("nothing to explain: no case is named, and none is wrong")
    return rows
