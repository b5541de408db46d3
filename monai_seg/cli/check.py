"""``monai-seg check``: every fault of a data set in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of data, or a JSON datalist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    labels: Annotated[str | None, typer.Option(help="The allowed label values, for instance 0,1,2.")] = None,
    rgb: Annotated[bool, typer.Option("--rgb", help="Judge pictures as bundles of colour pictures read them.")] = False,
) -> None:
    """Find every fault of a data set before anything is trained.

    Exit code 0: sound, 1: warnings only, 2: faults.
    """
    values = _values(labels)
    from monai_seg.data.integrity import check as check_data

    report = check_data(data, label_values=values, as_rgb=rgb, progress=not as_json)
    if as_json:
        typer.echo(json.dumps({"data": str(data), **report.as_dict()}, indent=1, ensure_ascii=False))
    else:
        from rich.console import Console

        from monai_seg.cli.finding_table import show

        show(report, Console(highlight=False))
    raise typer.Exit(2 if report.faults else 1 if report.warnings else 0)


def _values(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no list of whole numbers; write for instance 0,1,2") from error
