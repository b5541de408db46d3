"""Honest bundles as the MONAI Model Zoo has them: written for these tests, with the habits of its authors.

Paths are joined and files looked for in expressions, transforms are lambdas, some code lies in ``scripts``, weights are
pickled. No text of the zoo is copied; what each imitates stands beside it.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch

DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
LOADING = [
    {"_target_": "LoadImaged", "keys": ["image", "label"], "_disabled_": "$not os.path.exists(@dataset_dir)"},
    {"_target_": "EnsureChannelFirstd", "keys": ["image", "label"]},
    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1},
]
NETWORK = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [16, 32],
           "strides": [2]}  # fmt: skip
COMMON: dict[str, Any] = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": "/workspace/data/bundle",
    "output_dir": "$@bundle_root + '/eval'",
    "dataset_dir": "/workspace/data/Task09",
    "device": DEVICE,
    "network_def": NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {"_target_": "Compose", "transforms": LOADING},
    "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
    "datalist": "$list(sorted(glob.glob(os.path.join(@dataset_dir, 'imagesTs', '*.nii.gz'))))",
    "checkpoint": "$@bundle_root + '/models/model.pt'",
    "initialize": ["$monai.utils.set_determinism(seed=123)", "$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@evaluator.run()"],
}
SCRIPT = (
    b"from __future__ import annotations\n\nimport os\n\nimport torch\n\n\nclass Network(torch.nn.Module):\n    pass\n"
)
LOGGING = b"""[loggers]
keys=root

[handlers]
keys=consoleHandler

[formatters]
keys=fullFormatter

[logger_root]
level=INFO
handlers=consoleHandler

[handler_consoleHandler]
class=StreamHandler
level=INFO
formatter=fullFormatter
args=(sys.stdout,)

[formatter_fullFormatter]
format=%(asctime)s - %(name)s - %(levelname)s - %(message)s
"""

# Name of the bundle: what its configuration has beside or instead of the common one.
HABITS: dict[str, dict[str, Any]] = {
    # spleen_ct_segmentation: sections by position, several GPUs by rank
    "spleen": {
        "images": "$list(sorted(glob.glob(@dataset_dir + '/imagesTr/*.nii.gz')))",
        "labels": "$list(sorted(glob.glob(@dataset_dir + '/labelsTr/*.nii.gz')))",
        "train": {
            "data": "$[{'image': i, 'label': l} for i, l in zip(@images[:-9], @labels[:-9])]",
            "transforms": "$@train#fixed + @train#random",
            "fixed": "%preprocessing#transforms",
            "random": [{"_target_": "RandCropByPosNegLabeld", "keys": ["image", "label"], "label_key": "label"}],
            "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
        },
    },
    # lung_nodule_ct_detection: a network put together by calls, lambdas over batches, own scripts
    "detector": {
        "backbone": "$monai.networks.nets.resnet.resnet50(spatial_dims=3, n_input_channels=1)",
        "operations": ["$@detector.set_target_keys(box_key='box', label_key='label')"],
        "detector": {"_target_": "RetinaNetDetector", "network": "@network", "debug": False},
        "inferer": {"_target_": "scripts.detection_inferer.RetinaNetInferer", "detector": "@detector"},
        "saver": {
            "_target_": "scripts.detection_saver.DetectionSaver",
            "batch_transform": "$lambda x: [each['image_meta_dict'] for each in x]",
            "output_transform": "$lambda x: [@postprocessing({**each['pred'], 'image': each['image']}) for each in x]",
        },
        "evaluator": {"_target_": "scripts.evaluator.DetectionEvaluator", "_requires_": "@operations"},
    },
    # segmentation_template: YAML, constants of MONAI, a folder by the time, pairs by replacing names
    "template": {
        "imports": ["$import os", "$import datetime", "$import torch", "$import glob"],
        "image": "$monai.utils.CommonKeys.IMAGE",
        "is_not_rank0": "$@rank > 0",
        "folder": "$datetime.datetime.now().strftime(@output_dir + '/output_%y%m%d_%H%M%S')",
        "labels": "$[i.replace('img', 'lbl') for i in @datalist]",
        "parts": "$monai.data.partition_dataset(@datalist, (4, 1), shuffle=True, seed=0)",
        "resume": {"_target_": "CheckpointLoader", "_disabled_": "$not os.path.exists(@checkpoint)"},
        "stats": {"_target_": "StatsHandler", "output_transform": "$lambda x: None"},
    },
    # multi_gpu_train of most: processes by the environment
    "several_gpus": {
        "imports": ["$import os", "$import torch.distributed as dist"],
        "device": "$torch.device('cuda:' + os.environ['LOCAL_RANK'])",
        "rank": "$int(os.environ.get('RANK', '0'))",
        "network": {"_target_": "torch.nn.parallel.DistributedDataParallel", "module": "$@network_def.to(@device)",
                    "device_ids": ["@device"]},
        "initialize": ["$dist.is_initialized() or dist.init_process_group(backend='nccl')",
                       "$torch.cuda.set_device(@device)"],
        "handlers": "$@all_handlers[: -2 if dist.get_rank() > 0 else None]",
        "finalize": ["$dist.is_initialized() and dist.destroy_process_group()"],
    },
    # pathology: JSON lists read in an expression, columns of a table
    "pathology": {
        "imports": ["$import json", "$import os", "$from pathlib import Path"],
        "datalist": "$json.load(open(os.path.join(@dataset_dir, 'list.json')))['testing']",
        "cases": "$sorted(str(each) for each in Path(@dataset_dir).glob('*.svs'))",
        "settings": "$json.loads(Path(@dataset_dir, 'settings.json').read_text())",
        "name": "$os.path.splitext(os.path.basename(@cases[0]))[0]",
    },
    # generative ones: autoencoder and diffusion loaded from checkpoints, folders made first
    "diffusion": {
        "imports": ["$import functools", "$import os", "$from functools import partial"],
        "made": "$os.makedirs(@output_dir, exist_ok=True)",
        "made_too": "$Path(@output_dir).mkdir(parents=True, exist_ok=True)",
        "loaded": "$@autoencoder.load_state_dict(torch.load(@checkpoint, weights_only=True))",
        "activation": "$functools.partial(torch.nn.functional.interpolate, scale_factor=2)",
        "noise": "$torch.randn(1, 3, @size, @size).to(@device)",
        "inputs": "$lambda batch: {'input': batch['image'], 'object': batch['type']}",
    },
    # classification of endoscopy: probabilities to a table, progress to the console
    "classifier": {
        "imports": ["$import logging", "$import sys", "$import os"],
        "level": "$logging.INFO",
        "logger": "$logging.getLogger('bundle')",
        "stream": "$sys.stdout",
        "classes": "$len(@names)",
        "names": "$[each for each in os.listdir(@dataset_dir) if os.path.isdir(os.path.join(@dataset_dir, each))]",
        "printed": ["$print(f'{len(@names)} classes in {@dataset_dir}')"],
    },
    # interactive ones: transforms of MONAI's apps, random clicks
    "clicks": {
        "discrepancy": {"_target_": "monai.apps.deepedit.transforms.FindDiscrepancyRegionsDeepEditd", "keys": "label"},
        "probability": "$1.0 / @number_intensity_channels",
        "labels": "$dict((name, index) for index, name in enumerate(@label_names))",
        "interaction": {"_target_": "scripts.interaction.Interaction", "train": True,
                        "key_probability": "$lambda epoch: max(0.5, 1 - epoch * 0.01)"},
    },
    # whole-body ones: many classes, a copied pipeline, the bundle's own metadata, the environment of the machine
    "whole_body": {
        "imports": ["$import os", "$import sys", "$import pathlib", "$import copy", "$import numpy as np"],
        "inverted": {"_target_": "Invertd", "keys": "pred", "transform": "$copy.deepcopy(@preprocessing)"},
        "filled": {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: torch.nan_to_num(x, nan=255)"},
        "root": "$str(pathlib.Path(@bundle_root).resolve().parent)",
        "searched": "$sys.path.append(@bundle_root)",
        "workers": "$min(8, os.cpu_count() or 1)",
        "cache": "$os.getenv('CACHE', os.path.expanduser('~/.cache'))",
        "weights": "$np.ones(@classes) / @classes",
        "classes": 105,
    },
    # a bundle that reads, by a call, weights that it fetched once by itself
    "shared_blocks": {
        "imports": ["$from scripts.network import Network", "$from os import path", "$import scripts.network as own"],
        "network_def": {"_target_": "scripts.network.Network", "width": "$2 ** @depth"},
        "file": "$path.join(@bundle_root, 'models', 'model.pt')",
        "count": "$sum(each.numel() for each in @network.parameters() if each.requires_grad)",
    },
}  # fmt: skip


def zoo_bundle(folder: Path, name: str) -> Path:
    """Write the bundle of a name of `HABITS`."""
    habits = HABITS[name]
    configuration = COMMON | habits
    files = {
        "LICENSE": b"Apache License\n",
        "docs/README.md": b"# Model Overview\n",
        "docs/data_license.txt": b"Third party licences\n",
        "configs/metadata.json": json.dumps({"version": "0.1.0", "changelog": {"0.1.0": "first"}}).encode(),
        "configs/logging.conf": LOGGING,
        "models/model.pt": _checkpoint(),
    }
    if name == "template":
        files["configs/inference.yaml"] = _as_yaml(configuration)
    else:
        files["configs/inference.json"] = json.dumps(configuration, indent=4).encode()
    if "scripts." in json.dumps(habits):
        files |= {"scripts/__init__.py": b"", "scripts/network.py": SCRIPT}
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _as_yaml(configuration: dict[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(configuration, sort_keys=False).encode()


def _checkpoint() -> bytes:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    return buffer.getvalue()
