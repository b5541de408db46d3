"""A bundle that is ready to predict: its `inferring` workflow with the chosen weights, and its recipe for scenes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser

from monai_seg.engines.open_workflow import workflow_of
from monai_seg.engines.precision import autocast_dtype
from monai_seg.engines.trainer import case_files
from monai_seg.inference.consensus import Consensus
from monai_seg.inference.scene_prediction import Decision, ScenePredictor
from monai_seg.inference.scene_recipe import cleaning_of, decision_of, keeps_channels, set_threshold, window_of
from monai_seg.inference.tile_preprocessing import TilePreprocessing, reads_rgb
from monai_seg.inference.weights import find_weights, load_weights, require_fit

_IMAGE = "_meta_#network_data_format#inputs#image"
_PREDICTION = "_meta_#network_data_format#outputs#pred"
# What the weights of a run mean and a run may have overridden: with another value they would load and predict nonsense,
# or not load at all. Everything else (window, cleaning, folders) is a matter of the prediction.
_KEYS_OF_RUN = ("network_def", "architecture", "class_names", "multi_label", "image_size")
SAFE_CONFIGURATION = "configs/inference.json"  # of a bundle of data alone
_KINDS = ("image", "object", "probabilities")


class BundleError(ValueError):
    """A folder is no bundle, or none that does what is asked of it."""


class BundleWorkflow:
    """A bundle, built once for a list of inputs.

    Args:
        bundle: its folder.
        runs: folders of the runs whose best models predict together; none: `find_weights` chooses.
        test_time_augmentation: average over the symmetries of the grid.
        threshold: probability to take instead of the bundle's.
        dataset_dir: a datalist with the images that are to go through the workflow.
        output_dir: folder of their predictions.
        is_data: the bundle is data alone, whose ``configs/inference.json`` is run as ``exported.yaml`` beside this
            file says; anything else of it is left alone.
        amp: instead of the bundle's; False predicts alike on all machines but for rounding.

    Raises:
        BundleError: the folder is no bundle, or gives what nobody knows.
        CheckpointError, RunFolderError: there are no weights that fit.
        NotStreamableError: a threshold or an average is asked for, and the postprocessing has no place for it.
    """

    def __init__(
        self,
        bundle: Path,
        runs: Sequence[Path] = (),
        test_time_augmentation: bool = False,
        threshold: float | None = None,
        dataset_dir: Path | None = None,
        output_dir: Path | None = None,
        is_data: bool = False,
        amp: bool | None = None,
    ) -> None:
        recipe = _recipe(bundle, is_data)
        paths = [find_weights(bundle, run) for run in runs] or [find_weights(bundle)]
        folders = {"run_dir": runs[0] if runs else None, "dataset_dir": dataset_dir, "output_dir": output_dir}
        if is_data:
            folders["bundle_root"] = bundle
        named = {key: str(path.resolve()) for key, path in folders.items() if path}
        precision = {} if amp is None else {"amp": amp}
        self._workflow = _opened(bundle, recipe, **named, **precision, **_meaning_of_runs(recipe[-1], paths))
        if is_data and paths[0].suffix == ".safetensors":
            require_fit(self.configuration["network_def"], paths[0])
        network = self._get("network")
        load_weights(network, paths[0])
        networks = [network, *(load_weights(copy.deepcopy(network), path) for path in paths[1:])]
        self.device = torch.device(self._get("device"))
        self._threshold, self._decision = threshold, None
        if threshold is not None or test_time_augmentation or len(networks) > 1:
            self._decision = decision_of(self._get("postprocessing"), threshold)
        if threshold is not None:
            set_threshold(self._get("postprocessing"), threshold)
        self.network: torch.nn.Module = network
        if self._decision and (test_time_augmentation or len(networks) > 1):
            self.network = Consensus(networks, self._decision.activation, test_time_augmentation).eval()

    @property
    def configuration(self) -> ConfigParser:
        """The recipe with what the run has overridden, and the metadata as ``_meta_``."""
        return self._workflow.parser

    @property
    def gives(self) -> str:
        """What is predicted: ``"image"`` (label maps or masks), ``"object"``, or ``"probabilities"`` (of classes)."""
        return str(self._workflow.parser[f"{_PREDICTION}#type"])

    @property
    def spatial_dims(self) -> int:
        """Axes that the network takes."""
        return len(self._workflow.parser[f"{_IMAGE}#spatial_shape"])

    @property
    def in_channels(self) -> int:
        """Channels that the network takes."""
        return int(self._workflow.parser[f"{_IMAGE}#num_channels"])

    @property
    def overlapping_classes(self) -> tuple[str, ...]:
        """Names of classes that may overlap and so get a mask each; none where one label map holds all."""
        names = self._get("class_names") if "class_names" in self._workflow.parser else []
        return tuple(names) if len(names) > 1 and keeps_channels(self._get("postprocessing")) else ()

    @property
    def reads_rgb(self) -> bool:
        """Whether pictures are read as colours, see `monai_seg.data.RGBReader`."""
        return reads_rgb(self._get("preprocessing"))

    def tile_preprocessing(self) -> TilePreprocessing:
        """How tiles are normalised.

        Raises:
            NotStreamableError: the bundle's preprocessing cannot be done tile by tile.
        """
        return TilePreprocessing.of(self._get("preprocessing"))

    def scene_predictor(self) -> ScenePredictor:
        """The bundle for scenes.

        Raises:
            NotStreamableError: the bundle does something that a scene cannot follow.
        """
        postprocessing = self._get("postprocessing")
        decision: Decision = self._decision or decision_of(postprocessing)
        cleaning = cleaning_of(postprocessing, is_multi_label=bool(self.overlapping_classes))
        return ScenePredictor(self._with_autocast(), window_of(self._get("inferer")), decision, cleaning, self.device)

    def run(self, told: Callable[[str], None]) -> None:
        """Run the bundle's `inferring`; ``told`` hears of each file whose prediction is written."""
        evaluator = self._get("evaluator")
        evaluator.network = self.network

        def tell(engine: Engine) -> None:
            for file in case_files(engine.state.batch):
                told(file)

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, tell)
        self._workflow.run()

    def _get(self, key: str) -> Any:
        return self._workflow.parser.get_parsed_content(key)

    def _with_autocast(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The network in the precision of the bundle's evaluator, which itself would want images."""
        amp = self._get("evaluator#amp") if "evaluator#amp" in self._workflow.parser else False
        dtype = autocast_dtype(amp, self.device)

        def predict(tiles: torch.Tensor) -> torch.Tensor:
            context: AbstractContextManager = torch.autocast(self.device.type, dtype) if dtype else nullcontext()
            with context:
                return self.network(tiles)

        return predict


def _recipe(bundle: Path, is_data: bool) -> list[Path]:
    """The configurations that are run, a later one over an earlier one."""
    name = SAFE_CONFIGURATION if is_data else "configs/inference.yaml"
    if not (bundle / name).is_file():
        raise BundleError(f"{bundle} is no bundle: it has no {name}\n  mend   name a bundle: its folder, or an export")
    return [Path(__file__).with_name("exported.yaml"), bundle / name] if is_data else [bundle / name]


def _meaning_of_runs(recipe: Path, weights: Sequence[Path]) -> dict[str, Any]:
    """What the first run's configuration says of `_KEYS_OF_RUN`, as far as the bundle's own recipe has them."""
    known = _yaml(recipe)
    meanings = [
        {key: value for key, value in _yaml(path.parent.parent / "config.yaml").items() if key in _KEYS_OF_RUN}
        for path in weights
    ]
    for path, other in zip(weights[1:], meanings[1:], strict=True):
        for key in sorted(meanings[0].keys() & other.keys() - {"network_def"}):  # which the weights must fit anyway
            if other[key] != meanings[0][key]:
                raise BundleError(
                    f"runs differ in {key}, so that their probabilities have no mean\n"
                    f"  first  {weights[0]}: {meanings[0][key]}\n  other  {path}: {other[key]}\n"
                    "  mend   predict with each of them alone"
                )
    meaning = {key: value for key, value in meanings[0].items() if key in known}
    if isinstance(meaning.get("network_def"), dict):
        # The checkpoint holds all weights, and those that the training began with may be out of reach here.
        begun_with = [key for key in meaning["network_def"] if key.startswith("pretrained")]
        meaning["network_def"] = meaning["network_def"] | dict.fromkeys(begun_with)
    return meaning


def _yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def _opened(bundle: Path, recipe: Sequence[Path], **overrides: Any) -> Any:
    metadata = bundle / "configs" / "metadata.json"
    workflow = workflow_of(recipe, "infer", "inferring", metadata, **overrides)
    kind = workflow.parser.get(f"{_PREDICTION}#type", "nothing")
    if kind not in _KINDS or "inferring" not in workflow.parser:
        raise BundleError(
            f"{bundle} cannot be asked for predictions: its metadata.json says that it gives {kind}, and its recipe "
            f"has {'an' if 'inferring' in workflow.parser else 'no'} inferring\n"
            f"  mend   give network_data_format#outputs#pred#type one of {', '.join(_KINDS)}, and the recipe a run id"
            " inferring"
        )
    return workflow
