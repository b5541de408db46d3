"""The folder of a run: where it lies, what it records of its beginning, and which data it was made with."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

import monai_seg.data as data
from monai_seg.data.atomic import write_text_atomic
from monai_seg.engines.configuration import running_configuration
from monai_seg.engines.distribution import from_first_rank, rank, wait_for_all_ranks
from monai_seg.engines.environment import environment

logger = logging.getLogger(__name__)


class RunFolderError(ValueError):
    """A run folder that is not there, not finished, or already in use."""


class RunFolder:
    """``runs/BUNDLE/YYYYMMDD-HHMMSS/``, or the folder that the user names.

    Nothing is written before `begin`: reading a bundle's properties leaves no trace.

    Args:
        bundle_root: folder of the bundle. Runs of ``bundles/NAME`` go to ``runs/NAME`` beside ``bundles``; those of a
            bundle elsewhere to ``runs`` inside it.
        run_dir: folder of the run; empty makes a new one, or takes the newest where an existing one is needed.
    """

    def __init__(self, bundle_root: str | Path, run_dir: str | Path = "") -> None:
        root = Path(bundle_root).resolve()
        self.bundle_name = root.name
        self.runs = root.parent.parent / "runs" / root.name if root.parent.name == "bundles" else root / "runs"
        self.path = Path(run_dir).resolve() if run_dir else self.runs / "not-begun"
        self._is_named = bool(run_dir)
        self._external: str | None = None

    def begin(self, resume: bool = False) -> None:
        """Make the folder of a new run, or open that of a run to go on with. Every rank must call it.

        Raises:
            RunFolderError: a new run would overwrite an old one, or there is no run to resume.
        """
        if not self._is_named:
            self.path = from_first_rank(self.newest("last.pt") if resume else self._new())
        if not resume and (self.path / "config.yaml").exists():
            raise RunFolderError(
                f"{self.path} already holds a run\n  mend   give --resume true to go on with it, or another --run_dir"
            )
        if rank() == 0:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            self._record()
        wait_for_all_ranks()
        logger.info("run folder: %s", self.path)

    def open(self, dataset_dir: str | Path) -> None:
        """Open a finished run to evaluate it; a data set other than its own is an external one.

        Raises:
            RunFolderError: there is no run with a best model.
        """
        if not self._is_named:
            self.path = from_first_rank(self.newest("best.pt"))
        if not (self.path / "checkpoints" / "best.pt").is_file():
            raise RunFolderError(f"{self.path} holds no checkpoints/best.pt\n  mend   train first, or name a --run_dir")
        recorded = self._recorded_dataset()
        if recorded is not None and Path(dataset_dir).resolve() != recorded:
            self._external = Path(dataset_dir).resolve().name
        wait_for_all_ranks()

    @property
    def results(self) -> Path:
        """Folder of the tables: ``metrics``, or ``external/NAME`` for a data set that the run did not train on."""
        return self.path / "external" / self._external if self._external else self.path / "metrics"

    @property
    def predictions(self) -> Path:
        """Folder of the predicted masks."""
        return self.results / "predictions" if self._external else self.path / "predictions"

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.results / "figures" if self._external else self.path / "figures"

    def sections(
        self, dataset_dir: str | Path, seed: int = 0, fold: int | None = None, group_by: str | None = None
    ) -> dict[str, list[dict]]:
        """Records of ``training``, ``validation`` and ``test``: those that the run was begun with, where it was.

        Raises:
            RunFolderError: an external data set shares cases with the training or validation section.
        """
        stored = self.path / "datalist.json"
        if not stored.is_file():
            return data.sections(dataset_dir, seed=seed, fold=fold, group_by=group_by)
        if self._external is None:
            return data.read_datalist(stored)
        return {"training": [], "validation": [], "test": self._external_cases(dataset_dir)}

    def record_data(self, dataset_dir: str | Path, sections: dict[str, list[dict]], **split: Any) -> None:
        """Write ``datalist.json`` of a new run; the one of a resumed run stays. Every rank must call it."""
        stored = self.path / "datalist.json"
        if rank() == 0 and not stored.is_file():
            data.write_datalist(stored, sections, dataset_dir, **split)
        wait_for_all_ranks()

    def newest(self, checkpoint: str) -> Path:
        """The newest run of the bundle that has this checkpoint.

        Raises:
            RunFolderError: there is none.
        """
        found = sorted(self.runs.glob(f"*/checkpoints/{checkpoint}"))
        if not found:
            raise RunFolderError(
                f"no run of {self.bundle_name} has a {checkpoint}\n"
                f"  looked in  {self.runs}\n"
                "  mend   train first, or name the folder of a run with --run_dir"
            )
        return found[-1].parent.parent

    def _new(self) -> Path:
        name = datetime.now().strftime("%Y%m%d-%H%M%S")
        path, count = self.runs / name, 1
        while path.exists():  # two runs begun within a second
            count += 1
            path = self.runs / f"{name}-{count}"
        return path

    def _record(self) -> None:
        config = self.path / "config.yaml"
        if not config.exists():
            text = yaml.safe_dump(running_configuration(), sort_keys=False, allow_unicode=True, width=120)
            write_text_atomic(config, text)
        record = self.path / "environment.json"
        sessions = json.loads(record.read_text())["sessions"] if record.exists() else []
        write_text_atomic(record, json.dumps({"sessions": [*sessions, environment()]}, indent=2) + "\n")

    def _recorded_dataset(self) -> Path | None:
        stored = self.path / "datalist.json"
        if not stored.is_file():
            return None
        return Path(json.loads(stored.read_text())["dataset_dir"]).resolve()

    def _external_cases(self, dataset_dir: str | Path) -> list[dict]:
        cases = data.external_cases(dataset_dir)
        own = json.loads((self.path / "datalist.json").read_text())
        trained = {
            record["sha256"]: record["image"] for section in ("training", "validation") for record in own[section]
        }
        seen = [
            f"{case['image']} (trained on as {trained[case['sha256']]})" for case in cases if case["sha256"] in trained
        ]
        if seen:
            raise RunFolderError(
                f"{len(seen)} of {len(cases)} cases of {dataset_dir} were trained on; a test on them would flatter\n  "
                + "\n  ".join(seen[:10])
                + "\n  mend   take these files out of the external data set"
            )
        return cases
