"""`export_bundle`: a run as one file that can be sent to somebody."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_seg.sharing.audit import Verdict, audit
from monai_seg.sharing.export.archive import write_archive
from monai_seg.sharing.export.completed_metadata import completed_metadata
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.hub_folder import write_hub_files
from monai_seg.sharing.export.model_card import model_card
from monai_seg.sharing.export.portable_form import write_portable_form
from monai_seg.sharing.export.safe_form import write_json, write_safe_form
from monai_seg.sharing.export.sample_case import EXPECTED, IMAGES, predict_sample, write_sample
from monai_seg.sharing.export.trained_bundle import TrainedBundle
from monai_seg.sharing.manifest import write_manifest
from monai_seg.sharing.portable.compare_predictions import compare_predictions
from monai_seg.sharing.signature import signing_by

FORMS = ("safe", "portable")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Args:
        form: ``"safe"``: data alone, for monai-seg; ``"portable"``: for plain MONAI.
        sample: an image to send along; None: one of the sample data that the bundle falls back to.
        also: further forms of the network in a portable export, see `NETWORK_FORMS`.
        hub_folder: lay the bundle out in this folder too, as the Hugging Face Hub expects it.
        signing_key: private key, in PEM, to sign all files with.
    """

    form: str = "safe"
    sample: Path | None = None
    also: Sequence[str] = ()
    hub_folder: Path | None = None
    signing_key: Path | None = None


def export_bundle(bundle: Path, run: Path | None, archive: Path, options: ExportOptions | None = None) -> list[str]:
    """Export a bundle with the weights of a run, and prove that the export predicts as the bundle does.

    Args:
        bundle: its folder.
        run: folder of the run; None: the weights that `find_weights` chooses.
        archive: the ZIP to write, whole or not at all.
        options: what to export.

    Returns:
        What was compared on the sample, and how the forms of the network differ: a line each.

    Raises:
        ExportError: the run cannot be exported in this form.
        SelfTestError: the export would predict otherwise than the bundle.
        SignatureError: the key cannot be used.
        BundleError, CheckpointError, RunFolderError: there is no such bundle or run.
    """
    options = options or ExportOptions()
    if options.form not in FORMS:
        raise ExportError(f"form is {options.form!r}; give {' or '.join(FORMS)}")
    if options.also and options.form != "portable":
        raise ExportError(f"{', '.join(options.also)} in a safe export\n  mend   --form portable")
    if options.hub_folder is not None and options.hub_folder.exists():
        raise ExportError(f"{options.hub_folder} is there already\n  mend   name a new folder")
    sign = signing_by(options.signing_key) if options.signing_key is not None else None
    trained = TrainedBundle(bundle, run, options.sample)
    with tempfile.TemporaryDirectory() as workshop:
        folder = Path(workshop) / trained.name
        told = _fill(trained, folder, options, archive.name)
        if options.hub_folder is not None:
            shutil.copytree(folder, options.hub_folder)
            write_hub_files(trained, options.hub_folder)
            write_manifest(options.hub_folder)
        if sign is not None:
            for signed in filter(None, (folder, options.hub_folder)):
                sign(signed)
        write_archive(folder, archive)
    return told


def _fill(trained: TrainedBundle, folder: Path, options: ExportOptions, file: str) -> list[str]:
    metadata = completed_metadata(trained, options.form)
    write_json(folder / "configs" / "metadata.json", metadata)
    shutil.copyfile(trained.bundle / "LICENSE", folder / "LICENSE")
    (folder / "docs").mkdir()
    (folder / "docs" / "README.md").write_text(model_card(trained, metadata, options.form, file), encoding="utf-8")
    if options.form == "portable":
        told = write_portable_form(trained, folder, options.also)
    else:
        write_safe_form(trained, folder)
        write_sample(folder, trained.sample_files, is_data=True)
        told = _compare_with_bundle(trained, folder)
    write_manifest(folder)
    if options.form == "safe":
        report = audit(folder)
        if report.verdict != Verdict.DATA_ONLY:
            findings = "\n  ".join(f"{each.where}: {each.reason}" for each in report.findings[:10])
            raise ExportError(f"the export is not data alone\n  {findings}\n  mend   export --form portable")
    return told


def _compare_with_bundle(trained: TrainedBundle, folder: Path) -> list[str]:
    """The bundle itself on the sample: it must say what the export says."""
    with tempfile.TemporaryDirectory() as place:
        predict_sample(trained.bundle, folder / IMAGES, Path(place), is_data=False, run=trained.run)
        return compare_predictions(Path(place), folder / EXPECTED)
