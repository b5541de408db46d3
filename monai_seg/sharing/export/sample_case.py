"""An image that goes along with an export and what the network makes of it: whoever gets both can test the export."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions
from monai_seg.sharing.portable.compare_predictions import SelfTestError, compare_predictions

IMAGES, EXPECTED = "sample/images", "sample/expected"


def write_sample(bundle: Path, files: Sequence[Path], is_data: bool, run: Path | None = None) -> None:
    """Put an image into an exported bundle, and what the network makes of it.

    Args:
        bundle: folder of the export, otherwise complete.
        files: of the image.
        is_data: the export is data alone.
        run: whose weights, where they lie in no bundle.
    """
    copy_images(files, bundle)
    predict_sample(bundle, bundle / IMAGES, bundle / EXPECTED, is_data, run)
    leave_out_folders(bundle / EXPECTED)


def copy_images(files: Sequence[Path], bundle: Path) -> None:
    """Put the files of an image into a bundle."""
    folder = bundle / IMAGES
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def predict_sample(bundle: Path, images: Path, output: Path, is_data: bool, run: Path | None = None) -> None:
    """Predict as any machine does but for rounding: without reduced precision.

    Raises:
        SelfTestError: an image cannot be predicted.
    """
    batch = BatchPrediction(bundle, output, PredictionOptions((run,) if run else (), amp=False), is_data=is_data)
    batch.run([images])
    failed = [f"{each.file}: {each.text}" for each in batch.outcomes if each.state != "done"]
    if failed or not batch.outcomes:
        raise SelfTestError("the sample cannot be predicted\n  " + "\n  ".join(failed or ["there is no image in it"]))
    shutil.rmtree(output / "figures", ignore_errors=True)


def leave_out_folders(predictions: Path) -> None:
    """Let tables name files by their names alone: the folders are those of the machine that wrote them."""
    for path in predictions.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            rows = [{**row, "file": Path(row["file"]).name} for row in table]
            columns = list(table.fieldnames or ())
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def retest_sample(bundle: Path, is_data: bool) -> list[str]:
    """Predict the sample of an export again and compare.

    Args:
        bundle: its folder.
        is_data: the export is data alone.

    Returns:
        What was compared, one line for each file.

    Raises:
        SelfTestError: there is no sample, or it is predicted otherwise.
    """
    expected = bundle / EXPECTED
    if not expected.is_dir():
        raise SelfTestError(f"{bundle.name} holds no {EXPECTED}: it was not made by `monai-seg export`")
    with tempfile.TemporaryDirectory() as folder:
        predict_sample(bundle, bundle / IMAGES, Path(folder), is_data)
        return compare_predictions(expected, Path(folder))
