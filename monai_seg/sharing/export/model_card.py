"""The model card of an export, ``docs/README.md``: what the model is for, what it was measured at, how to use it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_seg.engines.precision import bare
from monai_seg.sharing.export.trained_bundle import TrainedBundle

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_LIMITS = re.compile(r"^## Limits\n+(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def model_card(trained: TrainedBundle, metadata: Mapping[str, Any], form: str, file: str) -> str:
    """Markdown of the card.

    Args:
        trained: what is exported.
        metadata: of the export.
        form: ``"safe"`` or ``"portable"``.
        file: name of the archive, for the commands.
    """
    from jinja2 import Environment, StrictUndefined

    # Markdown, which nothing renders with rights: no HTML to escape.
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    text = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=metadata.get("name", trained.name),
        name=trained.name,
        file=file,
        form=form,
        description=str(metadata["description"]).rstrip("."),
        task=metadata["task"],
        takes=metadata.get("image_classes", ""),
        gives=metadata.get("pred_classes", ""),
        intended_use=metadata.get("intended_use", "research"),
        data_source=metadata.get("data_source", "not told"),
        network=type(bare(trained.network)).__name__,
        parameters=sum(weight.numel() for weight in trained.network.parameters()),
        measured={name: _table(content) for name, content in trained.measured().items()},
        trained=metadata.get("trained"),
        monai_version=metadata["monai_version"],
        pytorch_version=metadata["pytorch_version"],
        limits=_limits(trained.bundle / "docs" / "README.md"),
        references=metadata.get("references", []),
        copyright=str(metadata["copyright"]).rstrip("."),
    )
    # Blocks of the template swallow line ends: each heading stands apart, and nothing farther than a line.
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\n+(?=## )", "\n\n", text))


def _table(summary: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Rows by measure, columns by class; one class needs no mean beside it."""
    classes = list(dict.fromkeys(name for values in summary.values() for name in values))
    columns = [name for name in classes if name != "mean" or len(classes) != 2]
    rows = [
        (measure.replace("_", " "), [_cell(values.get(name)) for name in columns])
        for measure, values in summary.items()
    ]
    grouped = any("n_groups" in cell for values in summary.values() for cell in values.values())
    return {"columns": columns, "rows": rows, "unit": "groups (patients, persons)" if grouped else ""}


def _cell(value: Mapping[str, Any] | None) -> str:
    if not value or value.get("mean") is None or math.isnan(float(value["mean"])):
        return ""
    text = f"{float(value['mean']):.3f}"
    low, high = value.get("ci_low"), value.get("ci_high")
    return text if low is None or high is None else f"{text} [{float(low):.3f}, {float(high):.3f}]"


def _limits(page: Path) -> str:
    found = _LIMITS.search(page.read_text(encoding="utf-8")) if page.is_file() else None
    return found[1].strip() if found else ""
