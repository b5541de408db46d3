"""``monai-seg review``: what a prediction of a scene got right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from monai_seg.review import SceneReview


def review(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Label map to compare with, PNG or TIFF.")],
    prediction: Annotated[Path, typer.Argument(metavar="PREDICTION", help="Label map of the same size.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder of the results.")],
    image: Annotated[Path | None, typer.Option(help="The scene, as background of the error map's picture.")] = None,
    label: Annotated[
        int | None, typer.Option("--class", min=1, help="The label to review; by default all but 0 together.")
    ] = None,
    block: Annotated[int, typer.Option(min=1, help="Side of the blocks in pixels.")] = 64,
    reference_values: Annotated[
        str | None, typer.Option(help="Values that mean the class in the reference, for instance 255 or 3,4.")
    ] = None,
) -> None:
    """Compare a prediction with its reference: error map, measures with intervals, and foreground block by block.

    Exit code 0: done, 1: done, with notes on the files, 2: refused or failed.
    """
    values = _values(reference_values)
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.review import review_scene

    log_to_console()
    try:
        found = review_scene(
            reference, prediction, output, image=image, label=label, reference_values=values, block=block
        )
    except (ValueError, OSError) as error:  # the files or the request are at fault; the text says how to mend it
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _show(found, output)
    raise typer.Exit(1 if found.notes else 0)


def _values(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text is not None else ()
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no list of whole numbers; write for instance 255 or 3,4") from error


def _show(found: SceneReview, output: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    pixels = found.height * found.width
    counts = ", ".join(f"{name} {count:,} ({count / pixels:.2%})" for name, count in found.counts.items())
    console.print(f"{found.foreground}, {found.width} x {found.height} px: {counts}", soft_wrap=True)
    console.print(_measures(found))
    console.print(_blocks(found))
    console.print("Neighbouring blocks are alike: intervals are too narrow; p describe, they are no error rates.")
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    console.print(f"written to {output}", soft_wrap=True, markup=False)


def _measures(found: SceneReview) -> Table:
    from rich.table import Table

    table = Table("measure", "value", "95% interval")
    for name, measure in found.measures.items():
        table.add_row(name, _number(measure.value), _interval(measure.ci_low, measure.ci_high))
    return table


def _blocks(found: SceneReview) -> Table:
    """Effect sizes, and beside each the test that goes with it."""
    from rich.table import Table

    blocks = found.blocks
    table = Table("foreground of blocks", "effect", "95% interval", "p", title_justify="left")
    table.title = f"{blocks.blocks:,} blocks of {found.block} px, {blocks.differing_blocks:,} differ"
    table.add_row(
        "mean share, prediction - reference",
        f"{blocks.mean_difference:+.4f}",
        _interval(blocks.ci_low, blocks.ci_high, "+.4f"),
        "",
    )
    wilcoxon = f"{_number(blocks.wilcoxon_p, '.3g')} (Wilcoxon)"
    table.add_row("rank-biserial correlation of pairs", _number(blocks.rank_biserial, "+.4f"), "", wilcoxon)
    table.add_row("distance of distributions D", _number(blocks.ks_distance), "", f"{_number(blocks.ks_p, '.3g')} (KS)")
    bins = "1 bin" if len(blocks.bins) == 1 else f"{len(blocks.bins)} bins"
    chi_square = f"{_number(blocks.chi_square_p, '.3g')} (chi-square, {bins})"
    table.add_row("Cramer's V of histograms", _number(blocks.cramers_v), "", chi_square)
    return table


def _interval(low: float, high: float, form: str = ".4f") -> str:
    return f"{_number(low, form)} to {_number(high, form)}"


def _number(value: float, form: str = ".4f") -> str:
    return "undefined" if value != value else format(value, form)
