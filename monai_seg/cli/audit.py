"""``monai-seg audit``: what a stranger's bundle would execute, before it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monai_seg.sharing.audit import AuditReport

_MEANING = {
    "DATA-ONLY": "data alone: nothing of it runs",
    "NEEDS-TRUST": "runs code, or might: use it if you trust who made it",
    "REFUSED": "dangerous or malformed: do not use it",
}
_COLOURS = {"DATA-ONLY": "green", "NEEDS-TRUST": "yellow", "REFUSED": "red"}


def audit(
    path: Annotated[Path, typer.Argument(metavar="PATH|ZIP", help="A bundle: its folder, or a ZIP of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Find out what somebody else's bundle would run, without running, importing or unpickling any of it.

    Exit code 0: DATA-ONLY, 1: NEEDS-TRUST, 2: REFUSED.
    """
    from monai_seg.sharing.audit import audit as look_at

    try:
        report = look_at(path)
    except OSError as error:
        typer.echo(f"{error}\n  mend   give the folder of a bundle, or its ZIP", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps({"path": str(path), **report.as_dict()}, indent=1, ensure_ascii=True))
    else:
        _show(report)
    raise typer.Exit(int(report.verdict))


def _show(report: AuditReport) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from monai_seg.sharing.audit import printable

    console = Console(highlight=False)
    if report.findings:
        table = Table("verdict", "where", "why", show_lines=False)
        table.columns[1].overflow = table.columns[2].overflow = "fold"
        for finding in sorted(report.findings, key=lambda each: (-each.level, each.file, each.line)):
            level = str(finding.level)
            # Names and texts of a stranger may hold commands to the terminal.
            table.add_row(
                f"[{_COLOURS[level]}]{level}[/]", *(escape(printable(t)) for t in (finding.where, finding.reason))
            )
        console.print(table)
    verdict = str(report.verdict)
    told = f", signed ({', '.join(report.signature)}: not checked here)" if report.signature else ""
    console.print(f"{len(report.hashes)} files{escape(printable(told))}")
    console.print(f"[bold {_COLOURS[verdict]}]{verdict}[/]  {_MEANING[verdict]}")
