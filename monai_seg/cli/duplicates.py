"""``monai-seg duplicates``: copies of images, and other ways in which a test can flatter a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def duplicates(
    data: Annotated[
        list[Path] | None, typer.Argument(metavar="DATA...", help="Folders of data, or JSON datalists.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run: audit its sections, and its figures without copies.")] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Regular expression that finds the patient, person or scene in a path.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Folder for the table and a sheet of all pairs."),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Pairs to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Find copies within and between sections and data sets, shared groups, and classes that files give away.

    Exit code 0: clean, 1: something was found, 2: refused.
    """
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.data.duplicates.audited import images_of_data, images_of_run
    from monai_seg.data.duplicates.leaks import find_leaks
    from monai_seg.data.duplicates.report_files import write_report

    log_to_console()
    try:
        images = images_of_data(data or [], group_by) if run is None else images_of_run(run, data or [], group_by)
        report = find_leaks(images, progress=not as_json)
        changes = []
        if run is not None:
            from monai_seg.review.without_copies import metric_changes

            changes = metric_changes(run, report)
        files = [] if output is None else write_report(report, output)
    except (ValueError, OSError) as error:  # the data or the request are at fault; the text says how to mend it
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        from monai_seg.cli.leak_table import plain

        content = report.as_dict() | {"metrics": plain(changes)}
        typer.echo(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        from rich.console import Console

        from monai_seg.cli.leak_table import show

        show(report, changes, rows, Console(highlight=False))
        for file in files:
            typer.echo(f"written to {file}")
    raise typer.Exit(0 if report.is_clean and not report.unreadable else 1)
