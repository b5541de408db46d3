"""``monai-seg verify``: whether a bundle is what was sent, and predicts here as it did where it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="PATH|ZIP", help="An export of data alone.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="PUBLIC.pem", help="Require a signature by the private half of this key."),
    ] = None,
) -> None:
    """Compare the files of an export with its manifest, then predict its sample and compare.

    Exit code 0: as it was sent, signed where a key is given, and it predicts alike; 2: not.
    """
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.sharing.opening import BundleTrustError, NoBundleError, opened_bundle
    from monai_seg.sharing.signature import SignatureError, verify_signature

    log_to_console()
    try:
        with opened_bundle(bundle) as opened:
            from monai_seg.inference.batch_prediction import reason_of
            from monai_seg.sharing.export.sample_case import retest_sample

            if not opened.is_data:
                raise NoBundleError(f"{bundle} is ours: no export\n  mend   name what `monai-seg export` has written")
            if key is not None:
                verify_signature(opened.root, key)
                typer.echo(f"signed with the private half of {key}")
            typer.echo("all files are as they were sent, and nothing of them runs")
            try:
                told = retest_sample(opened.root, is_data=True)
            except (ValueError, OSError, ImportError, RuntimeError) as error:
                typer.echo(f"error: {reason_of(error)}", err=True)
                raise typer.Exit(2) from error
    except (BundleTrustError, NoBundleError, SignatureError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    for line in told:
        typer.echo(line)
    typer.echo("it predicts here as it did where it was made")
