"""What the Hugging Face Hub expects beside a bundle: a card with its facts at the top, and which files are large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from monai_seg.sharing.export.trained_bundle import TrainedBundle

_LARGE = ("*.safetensors", "*.pt", "*.pt2", "*.onnx", "*.bin", "*.ts", "*.nii.gz")
_TASKS = {"image": "image-segmentation", "object": "object-detection", "probabilities": "image-classification"}
_SHOWN = ("dice", "iou", "nsd", "ap", "ap50", "accuracy", "balanced_accuracy", "roc_auc")


def write_hub_files(trained: TrainedBundle, folder: Path) -> None:
    """Write ``README.md`` and ``.gitattributes`` into a copy of an export.

    Args:
        trained: what is exported.
        folder: the copy, with ``docs/README.md``.

    Source:
        https://huggingface.co/docs/hub/model-cards
    """
    card = (folder / "docs" / "README.md").read_text(encoding="utf-8")
    facts = yaml.safe_dump(_facts(trained), sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{facts}---\n\n{card}", encoding="utf-8")
    lines = [f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LARGE]
    (folder / ".gitattributes").write_text("".join(lines), encoding="utf-8")


def _facts(trained: TrainedBundle) -> dict[str, Any]:
    task = _TASKS[trained.workflow.gives]
    facts: dict[str, Any] = {
        "license": "apache-2.0" if "Apache" in (trained.bundle / "LICENSE").read_text(encoding="utf-8") else "other",
        "library_name": "monai",
        "pipeline_tag": task,
        "tags": ["monai", "medical", task],
    }
    tables = trained.measured()
    results = [
        {
            "task": {"type": task},
            "dataset": {"type": "private", "name": name},
            "metrics": [
                {"type": measure, "value": round(float(table[measure]["mean"]["mean"]), 4)}
                for measure in _SHOWN
                if (table.get(measure, {}).get("mean") or {}).get("mean") is not None
            ],
        }
        for name, table in tables.items()
    ]
    if results:
        facts["model-index"] = [{"name": trained.name, "results": results}]
    return facts
