"""``monai-seg split``: write the sections or folds of a data set to a datalist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def split(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Folders of data, or JSON datalists.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The datalist to write.")],
    group_by: Annotated[
        str | None, typer.Option(help="Regular expression that finds the patient, person or scene in a path.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number folds for cross-validation instead of one validation section.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
) -> None:
    """Split data sets by group and write one MONAI datalist.

    Sections that the data have on disk are kept. Of several data sets, unsplit cases go where another one has their
    group. Cases with a mask or a class are taken, or all images where there are none.

    Exit code 0: written, 2: refused.
    """
    from collections import Counter

    from monai_seg.data.datalist_store import write_datalist
    from monai_seg.data.layouts.listing import first_image
    from monai_seg.data.sectioning import folded_sections, sections
    from monai_seg.data.targets import AUTO

    try:
        if folds is None:
            parts = sections(*data, seed=seed, group_by=group_by, target_key=AUTO)
        else:
            parts = folded_sections(*data, seed=seed, folds=folds, group_by=group_by, target_key=AUTO)
        write_datalist(output, parts, *data, seed=seed, folds=folds, group_by=group_by)
    except (ValueError, OSError) as error:  # the data or the request are at fault; the text says how to mend it
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    for name, records in parts.items():
        groups = len({record.get("group", first_image(record)) for record in records})
        line = f"{name:<10}  {len(records):>6} cases  {groups:>6} groups"
        if records and folds is not None and name == "training":
            sizes = Counter(record["fold"] for record in records)
            line += f"  folds of {', '.join(str(sizes[number]) for number in sorted(sizes))}"
        typer.echo(line)
    typer.echo(f"written to {output}")
