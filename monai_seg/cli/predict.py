"""``monai-seg predict``: label maps, objects or classes of files and folders; label maps of scenes of any size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monai_seg.inference.batch_prediction import BatchPrediction, Outcome


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or ZIP of a bundle.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Image files, folders of them, data sets.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder of the predictions.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Whose weights; several: the mean of their probabilities."),
    ] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over the 8 rotations and reflections.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Probability from which a pixel belongs to the class.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probabilities of pictures too, as TIFF.")
    ] = False,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Write the objects of pictures too, as GeoJSON; needs monai-seg[geo].")
    ] = False,
    scene_pixels: Annotated[int, typer.Option(min=0, help="Pictures of more pixels are streamed, tile by tile.")] = 4096
    * 4096,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace predictions that are there.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code of a bundle that is not ours, after saying what.")
    ] = False,
) -> None:
    """Predict what a bundle gives; a bad file is reported at the end and costs no other its prediction.

    Exit code 0: all done, 1: inputs were skipped, 2: refused or nothing done, 130: interrupted; what was done stays.
    """
    from monai_seg.cli.console_log import log_to_console
    from monai_seg.sharing.opening import BundleTrustError, NoBundleError, opened_bundle

    log_to_console()
    try:
        with opened_bundle(bundle, trust) as opened:
            from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions

            options = PredictionOptions(
                tuple(run or ()), tta, threshold, overwrite, probabilities, polygons, scene_pixels=scene_pixels
            )
            code = _predicted(BatchPrediction(opened.root, output, options, is_data=opened.is_data), inputs)
    except (BundleTrustError, NoBundleError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:  # while it was opened
        raise typer.Exit(130) from error
    raise typer.Exit(code)


def _predicted(batch: BatchPrediction, inputs: list[Path]) -> int:
    """Predict and tell; gives the exit code."""
    from monai_seg.inference.batch_prediction import reason_of

    try:
        batch.run(inputs)
    except KeyboardInterrupt:
        _show(batch.outcomes, batch.output_dir)
        typer.echo("interrupted; the same command goes on with what is missing", err=True)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:  # the bundle, its weights, or the request
        typer.echo(f"error: {reason_of(error)}", err=True)
        return 2
    _show(batch.outcomes, batch.output_dir)
    return _exit_code(batch.outcomes)


def _exit_code(outcomes: list[Outcome]) -> int:
    states = {outcome.state for outcome in outcomes}
    if states == {"done"}:
        return 0
    return 1 if states & {"done", "exists"} else 2


def _show(outcomes: list[Outcome], output: Path) -> None:
    """Count what was done, and list the rest in a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    left = [outcome for outcome in outcomes if outcome.state != "done"]
    if left:
        table = Table("input", "why it was skipped", show_lines=True)
        table.columns[0].overflow = table.columns[1].overflow = "fold"
        for outcome in left:
            table.add_row(Text(outcome.file), Text(outcome.text))
        console.print(table)
    done = len(outcomes) - len(left)
    console.print(f"{done} of {len(outcomes)} inputs predicted" + (f", in {output}" if done else ""), soft_wrap=True)
