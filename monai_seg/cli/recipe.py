"""``monai-seg train`` and ``monai-seg evaluate``: a bundle's own run ids, for bundles and for exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_BUNDLE = typer.Argument(metavar="BUNDLE", help="Folder or ZIP of a bundle.")
_SETTINGS = typer.Argument(metavar="KEY=VALUE", help="What to set otherwise, as dataset_dir=DATA max_epochs=20.")
_TRUST = typer.Option("--trust", help="Run code of a bundle that is not ours, after saying what.")


def train(
    bundle: Annotated[Path, _BUNDLE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    trust: Annotated[bool, _TRUST] = False,
) -> None:
    """Train a bundle; an export of data alone goes on from its weights, by our recipe that it names.

    Exit code 0: done, 2: refused or failed, 130: interrupted; a run can be resumed.
    """
    _run(bundle, "training", settings or [], trust)


def evaluate(
    bundle: Annotated[Path, _BUNDLE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    trust: Annotated[bool, _TRUST] = False,
) -> None:
    """Evaluate the newest run of a bundle, run_dir=RUN, or an export, on its test section or on dataset_dir=DATA.

    Exit code 0: done, 2: refused or failed, 130: interrupted.
    """
    _run(bundle, "evaluating", settings or [], trust)


def _run(bundle: Path, run_id: str, settings: list[str], trust: bool) -> None:
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.sharing.opening import BundleTrustError, NoBundleError, opened_bundle

    log_to_console()
    try:
        given = dict(_setting(text) for text in settings)
        with opened_bundle(bundle, trust) as opened:
            from monai_seg.inference.batch_prediction import reason_of
            from monai_seg.sharing.recipe_run import run_recipe

            try:
                run_recipe(opened, run_id, given)
            except (ValueError, OSError, ImportError, RuntimeError) as error:  # MONAI wraps all in its own
                typer.echo(f"error: {reason_of(error)}", err=True)
                raise typer.Exit(2) from error
    except (BundleTrustError, NoBundleError, OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"{text!r} sets nothing; give KEY=VALUE, as max_epochs=20")
    return key.removeprefix("--"), yaml.safe_load(value) if value else ""
