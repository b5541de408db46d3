"""The command ``monai-seg``: one file per command; heavy libraries load inside the commands, so that help is fast."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_seg.cli.audit import audit
from monai_seg.cli.check import check
from monai_seg.cli.duplicates import duplicates
from monai_seg.cli.export import export
from monai_seg.cli.predict import predict
from monai_seg.cli.recipe import evaluate, train
from monai_seg.cli.review import review
from monai_seg.cli.split import split
from monai_seg.cli.verify import verify

app = typer.Typer(
    name="monai-seg", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _version(wanted: bool) -> None:
    if wanted:
        from monai_seg import __version__

        typer.echo(f"monai-seg {__version__}")
        raise typer.Exit


@app.callback()
def _monai_seg(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From a folder of images and masks to an honest, reproducible, shareable MONAI bundle."""


app.command()(check)
app.command()(split)
app.command()(duplicates)
app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(review)
app.command()(export)
app.command()(verify)
app.command()(audit)


def main() -> None:
    """Run the command line."""
    app()
