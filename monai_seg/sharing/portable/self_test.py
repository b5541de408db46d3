"""Predict the sample that came with this bundle, and compare: ``python BUNDLE/scripts/self_test.py``."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def self_test() -> list[str]:
    """What was compared, one line for each file.

    Raises:
        SelfTestError: a prediction differs, of the class in ``compare_predictions`` beside this file.
    """
    from monai.bundle import run

    with tempfile.TemporaryDirectory() as folder:
        run(config_file=str(ROOT / "configs" / "inference.json"), logging_file=False, output_dir=folder)
        compare = importlib.import_module("scripts.compare_predictions")
        return list(compare.compare_predictions(ROOT / "sample" / "expected", Path(folder)))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for line in self_test():
        sys.stdout.write(line + "\n")
    sys.stdout.write("the bundle predicts here as it did where it was made\n")
