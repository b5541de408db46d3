"""Run-time set-up and engines: device, precision, processes, run folder, training and evaluation, exact resume."""

from monai_seg.engines.checkpoint import CheckpointError, load_checkpoint, read_checkpoint, save_checkpoint
from monai_seg.engines.classification import MirrorAverage, MixUp, temperature_of
from monai_seg.engines.configuration import bundle_root
from monai_seg.engines.detection import DetectionEvaluator, DetectionTrainer, prepare_instances
from monai_seg.engines.distribution import device, rank, start_distribution, world_size
from monai_seg.engines.evaluator import Evaluator
from monai_seg.engines.key_check import UnknownKeyError, check_keys
from monai_seg.engines.precision import AutocastInferer, autocast_dtype, prepare_network
from monai_seg.engines.resolution import LowResolutionFirst
from monai_seg.engines.run_folder import RunFolder, RunFolderError
from monai_seg.engines.sampling import class_sampler, evaluation_sampler, training_sampler
from monai_seg.engines.setup import set_up
from monai_seg.engines.trainer import NonFiniteLossError, Trainer

__all__ = [
    "AutocastInferer",
    "CheckpointError",
    "DetectionEvaluator",
    "DetectionTrainer",
    "Evaluator",
    "LowResolutionFirst",
    "MirrorAverage",
    "MixUp",
    "NonFiniteLossError",
    "RunFolder",
    "RunFolderError",
    "Trainer",
    "UnknownKeyError",
    "autocast_dtype",
    "bundle_root",
    "check_keys",
    "class_sampler",
    "device",
    "evaluation_sampler",
    "load_checkpoint",
    "prepare_instances",
    "prepare_network",
    "rank",
    "read_checkpoint",
    "save_checkpoint",
    "set_up",
    "start_distribution",
    "temperature_of",
    "training_sampler",
    "world_size",
]
