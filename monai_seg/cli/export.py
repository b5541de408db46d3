"""``monai-seg export``: a run as one file that can be sent to somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="NAME.zip", help="The archive to write.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Whose weights; else the bundle's, or its newest run's."),
    ] = None,
    form: Annotated[
        str, typer.Option(metavar="safe|portable", help="safe: data alone, for monai-seg; portable: for plain MONAI.")
    ] = "safe",
    sample: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An image to send along, instead of an invented one.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="onnx|openvino|tensorrt|torchscript", help="The network in one more form, if portable."),
    ] = None,
    to_hub: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Lay a folder out too, as the Hugging Face Hub expects it.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY.pem", help="Sign all files with this private key (elliptic curve).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an archive that is there.")] = False,
) -> None:
    """Export a run, and prove on a sample image that the export predicts as the bundle does.

    Exit code 0: written, 2: refused or failed; no archive is written then.
    """
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.inference.batch_prediction import reason_of
    from monai_seg.sharing.export.exporting import ExportOptions, export_bundle

    log_to_console()
    if output.exists() and not overwrite:
        typer.echo(f"error: {output} is there already\n  mend   name another file, or give --overwrite", err=True)
        raise typer.Exit(2)
    try:
        told = export_bundle(bundle, run, output, ExportOptions(form, sample, tuple(also or ()), to_hub, sign))
    except (ValueError, OSError, ImportError, RuntimeError) as error:  # the bundle, its run, or the request
        typer.echo(f"error: {reason_of(error)}", err=True)
        raise typer.Exit(2) from error
    for line in told:
        typer.echo(line)
    if sign is not None:
        typer.echo(f"signed; with your public key: monai-seg verify --key PUBLIC.pem {output.name}")
    typer.echo(f"{output}  {output.stat().st_size / 2**20:.1f} MiB, {form}")
