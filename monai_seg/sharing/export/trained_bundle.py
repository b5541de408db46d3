"""A bundle with the weights of a run, read once for all that an export writes."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from monai_seg.data import images
from monai_seg.data.layouts.files import stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.data.samples import is_sample_data
from monai_seg.inference.bundle_workflow import BundleWorkflow
from monai_seg.inference.weights import find_weights
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.plain_configuration import plain_items

_COMPONENTS = ("network_def", "preprocessing", "inferer", "postprocessing")
_SETTINGS = ("class_names", "batch_size")


@dataclass
class TrainedBundle:
    """A bundle and a run of it.

    Args:
        bundle: folder of the bundle.
        run: folder of the run; None: the weights that `find_weights` chooses.
        sample: an image to send along; None: one of the sample data that the bundle falls back to.
    """

    bundle: Path
    run: Path | None = None
    sample: Path | None = None
    workflow: BundleWorkflow = field(init=False)
    run_folder: Path | None = field(init=False)

    def __post_init__(self) -> None:
        self.workflow = BundleWorkflow(self.bundle, [self.run] if self.run else [])
        weights = find_weights(self.bundle, self.run or "")
        self.run_folder = weights.parent.parent if weights.parent.name == "checkpoints" else None

    @property
    def name(self) -> str:
        """Name of the bundle's folder."""
        return self.bundle.resolve().name

    @property
    def network(self) -> torch.nn.Module:
        """With the weights of the run, in evaluation mode."""
        return self.workflow.network

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The bundle's own ``metadata.json``."""
        return json.loads((self.bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))

    @cached_property
    def components(self) -> dict[str, Any]:
        """Network, preprocessing, inferer and postprocessing as data alone, see `plain_items`.

        All weights go along, so that those that the training began with are not named.
        """
        found = plain_items(self.workflow.configuration, _COMPONENTS)
        network = found["network_def"]
        return {**found, "network_def": {key: network[key] for key in network if not key.startswith("pretrained")}}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What else says how to predict: names of classes, and how many images at once."""
        return plain_items(self.workflow.configuration, _SETTINGS)

    @property
    def class_names(self) -> list[str]:
        """Of labels 1, 2 ... of label maps, of index 0, 1 ... of objects and whole images."""
        if "class_names" in self.settings:
            return list(self.settings["class_names"])
        channels = self.metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        return [name for name in channels.values() if name != "background"]

    @cached_property
    def sample_files(self) -> list[Path]:
        """The files of the image that goes along.

        Raises:
            ExportError: none is named, and the bundle falls back to no sample data, or there is no such image.
        """
        place: Any = self.sample
        if place is None:
            place = self.workflow.configuration.get_parsed_content("dataset_dir")
            if not is_sample_data(place):
                raise ExportError(
                    f"there is no image to send along: the bundle falls back to {place}, which may be private\n"
                    "  mend   name an image that may be given away: --sample FILE"
                )
        found = images(place)
        image = found[0]["image"]
        return [Path(file) for file in ([image] if isinstance(image, str) else image)]

    def of_run(self, name: str) -> dict[str, Any]:
        """Content of a JSON file of the run, as ``metrics/summary.json``; empty where it has none."""
        path = self.run_folder / name if self.run_folder else None
        return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}

    def measured(self) -> dict[str, dict[str, Any]]:
        """Tables of the run: ``{"test": {measure: {class: {"mean", "ci_low", ...}}}, "external NAME": ...}``.

        The first bears the name of the section whose cases it is of: where folds validate all cases, it is no test.
        """
        tables = {self._measured_section(): self.of_run("metrics/summary.json")} if self.run_folder else {}
        for summary in sorted(self.run_folder.glob("external/*/summary.json")) if self.run_folder else []:
            tables[f"external {summary.parent.name}"] = json.loads(summary.read_text(encoding="utf-8"))
        return {name: table for name, table in tables.items() if table}

    def _measured_section(self) -> str:
        table = self.run_folder / "metrics" / "per_case.csv" if self.run_folder else None
        if table is None or not table.is_file():
            return "test"
        with table.open(newline="", encoding="utf-8") as file:
            cases = {Path(row["case"]).name for row in csv.DictReader(file)}
        sections = self.of_run("datalist.json")
        for name in ("test", "validation", "training"):
            files = [first_image(record) for record in sections.get(name, [])]
            if cases <= {stem(file) for file in files}:
                return name
        return "unknown cases"
