"""The folder of a run: where it lies, what it records of its beginning, and which data it was made with."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

import monai_seg.data as data
from monai_seg.data.atomic import remove_leftovers, write_text_atomic
from monai_seg.data.samples import is_sample_data
from monai_seg.data.sectioning import SHARES
from monai_seg.engines.configuration import running_configuration
from monai_seg.engines.distribution import from_first_rank, rank, wait_for_all_ranks
from monai_seg.engines.environment import environment

logger = logging.getLogger(__name__)
_NAME = "%Y%m%d-%H%M%S"


class RunFolderError(ValueError):
    """A run folder that is not there, not finished, or already in use."""


class RunFolder:
    """``runs/BUNDLE/YYYYMMDD-HHMMSS/``, or the folder that the user names.

    Nothing is written before `begin`: reading a bundle's properties leaves no trace.

    Args:
        bundle_root: folder of the bundle. Runs of ``bundles/NAME`` go to ``runs/NAME`` beside ``bundles``; those of a
            bundle elsewhere to ``runs`` inside it.
        dataset_dir: the data to train on, or to evaluate on.
        run_dir: folder of the run; empty makes a new one, or takes the newest where an existing one is needed.
        resume: go on with a run instead of beginning one.
        seed, fold, group_by: of the split, see `monai_seg.data.sections`.
        target_key: the key that a case must have: "label" (a mask), "class", or None where any image will do.
        shares: of the training, validation and test section, where they are not on disk.
    """

    def __init__(
        self,
        bundle_root: str | Path,
        dataset_dir: str | Path = "",
        run_dir: str | Path = "",
        resume: bool = False,
        seed: int = 0,
        fold: int | None = None,
        group_by: str | None = None,
        target_key: str | None = "label",
        shares: Sequence[float] = SHARES,
    ) -> None:
        root = Path(bundle_root).resolve()
        self.bundle_name = root.name
        self.runs = root.parent.parent / "runs" / root.name if root.parent.name == "bundles" else root / "runs"
        self.path = Path(run_dir).resolve() if run_dir else self.runs / "not-begun"
        self.dataset_dir, self.resume = str(dataset_dir), resume
        self._split: dict[str, Any] = {"seed": seed, "fold": fold, "group_by": group_by, "shares": tuple(shares)}
        self._target_key = target_key
        self._is_named = bool(run_dir)
        self._external: str | None = None

    def begin(self) -> None:
        """Make the folder of a new run, or open that of a run to go on with. Every rank must call it.

        Raises:
            RunFolderError: a new run would overwrite an old one, or none is named and there is none to resume. A folder
                that is named and not there is begun: the kill may have come before it was made.
        """
        if not self._is_named:
            self.path = from_first_rank(self.newest("last.pt") if self.resume else self._new())
        if not self.resume and (self.path / "config.yaml").exists():
            raise RunFolderError(
                f"{self.path} already holds a run\n  mend   give --resume true to go on with it, or another --run_dir"
            )
        wait_for_all_ranks()
        if rank() == 0:
            self._record()
            _log_to(self.path / "train.log")
            logger.info("run folder: %s", self.path)
        wait_for_all_ranks()

    def open(self) -> None:
        """Open a finished run to evaluate it; a data set other than its own is an external one.

        Raises:
            RunFolderError: there is no run with a best model.
        """
        if not self._is_named:
            self.path = from_first_rank(self.newest("best.pt"))
        if not self.best_model.is_file():
            raise RunFolderError(f"{self.path} holds no checkpoints/best.pt\n  mend   train first, or name a --run_dir")
        stored = self._stored_datalist()
        # Sample data are what a bundle falls back to: they stand for "no data named", not for an external test set.
        if stored and not self._is_own(stored) and not is_sample_data(self.dataset_dir):
            self._external = Path(self.dataset_dir).resolve().name.removesuffix(".json")
        wait_for_all_ranks()

    @property
    def best_model(self) -> Path:
        """Checkpoint of the network that validated best."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def last_state(self) -> Path:
        """Checkpoint of the whole state, from which the run goes on."""
        return self.path / "checkpoints" / "last.pt"

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

    @property
    def sections(self) -> dict[str, list[dict]]:
        """Records of ``training``, ``validation`` and ``test``: those that the run was begun with, where it was.

        Raises:
            RunFolderError: an external data set shares cases with the training or validation section.
        """
        if self._external is not None:
            return {"training": [], "validation": [], "test": self._external_cases()}
        stored = self.path / "datalist.json"
        if stored.is_file():
            return data.read_datalist(stored)
        return data.sections(self.dataset_dir, target_key=self._target_key, **self._split)

    def newest(self, checkpoint: str) -> Path:
        """The newest run of the bundle that has this checkpoint.

        Raises:
            RunFolderError: there is none.
        """
        found = sorted(self.runs.glob(f"*/checkpoints/{checkpoint}"), key=_time_of_run)
        if not found:
            raise RunFolderError(
                f"no run of {self.bundle_name} has a {checkpoint}\n"
                f"  looked in  {self.runs}\n"
                "  mend   train first, or name the folder of a run with --run_dir"
            )
        return found[-1].parent.parent

    def _new(self) -> Path:
        name = datetime.now().strftime(_NAME)
        path, count = self.runs / name, 1
        while path.exists():  # two runs begun within a second
            count += 1
            path = self.runs / f"{name}-{count}"
        return path

    def _record(self) -> None:
        sections = self.sections  # first: data that cannot be split leave no folder behind
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.last_state)
        remove_leftovers(self.best_model)
        config = self.path / "config.yaml"
        if config.exists():
            _say_what_changed(yaml.safe_load(config.read_text()), running_configuration())
        else:
            data.write_datalist(self.path / "datalist.json", sections, self.dataset_dir, **self._split)
            text = yaml.safe_dump(running_configuration(), sort_keys=False, allow_unicode=True, width=120)
            write_text_atomic(config, text)
        record = self.path / "environment.json"
        sessions = json.loads(record.read_text())["sessions"] if record.exists() else []
        named = str(Path(self.dataset_dir).resolve())
        session = {**environment(), "dataset_dir": named, "data_hash": data.data_hash(sections)}
        if sessions and sessions[0]["data_hash"] != session["data_hash"]:
            raise RunFolderError(
                f"the data in {self.dataset_dir} changed since the run in {self.path} began\n"
                "  mend   bring the files back as they were, or begin a new run"
            )
        write_text_atomic(record, json.dumps({"sessions": [*sessions, session]}, indent=2) + "\n")

    def _stored_datalist(self) -> dict[str, Any] | None:
        stored = self.path / "datalist.json"
        return json.loads(stored.read_text()) if stored.is_file() else None

    def _is_own(self, stored: dict[str, Any]) -> bool:
        given, record = Path(self.dataset_dir).resolve(), self.path / "environment.json"
        if given == (self.path / stored["dataset_dir"]).resolve():
            return True
        # Of a JSON datalist, `stored` keeps the folder of the files; the session keeps what the user named.
        sessions = json.loads(record.read_text())["sessions"] if record.exists() else []
        return any(session.get("dataset_dir") == str(given) for session in sessions)

    def _external_cases(self) -> list[dict]:
        cases = data.external_cases(self.dataset_dir, self._target_key)
        own = self._stored_datalist() or {"training": [], "validation": []}
        trained = {
            record["sha256"]: record["image"] for section in ("training", "validation") for record in own[section]
        }
        seen = [
            f"{case['image']} (trained on as {trained[case['sha256']]})" for case in cases if case["sha256"] in trained
        ]
        if seen:
            raise RunFolderError(
                f"{len(seen)} of {len(cases)} cases of {self.dataset_dir} were trained on; they would flatter\n  "
                + "\n  ".join(seen[:10])
                + "\n  mend   take these files out of the external data set"
            )
        return cases


def _log_to(file: Path) -> None:
    """Write what is logged to a file too, instead of that of an earlier run of this process."""
    package = logging.getLogger("monai_seg")
    for earlier in [handler for handler in package.handlers if isinstance(handler, logging.FileHandler)]:
        package.removeHandler(earlier)
        earlier.close()
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    package.addHandler(handler)


def _say_what_changed(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Warn that a run goes on with other settings; what names the run itself may differ."""
    then, today = dict(_settings(before)), dict(_settings(now))
    for key in sorted(then.keys() | today.keys()):
        if then.get(key) != today.get(key) and key not in ("resume", "run_dir", "bundle_root"):
            logger.warning("resumed with another %s: %s, the run began with %s", key, today.get(key), then.get(key))


def _settings(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each single value of a configuration with its id, as ``network_def#features``."""
    if isinstance(config, dict) and config:
        for name, value in config.items():
            yield from _settings(value, f"{key}#{name}" if key else str(name))
    else:
        yield key, config


def _time_of_run(checkpoint: Path) -> str:
    """When a run began, as its name says; of a folder that the user named, when this checkpoint was written."""
    name = checkpoint.parent.parent.name
    if re.match(r"\d{8}-\d{6}", name):
        return name
    return datetime.fromtimestamp(checkpoint.stat().st_mtime).strftime(_NAME)
