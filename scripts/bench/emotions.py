"""What a classifier of faces has to beat, and what a leak does to its figure.

HOG features with logistic regression on unseen people; and the same, beside nearest neighbours, on a pool in which
every image is there twice and is dealt out at random, as in a published study.

    python scripts/bench/emotions.py DATA                    the table
    python scripts/bench/emotions.py DATA -o runs/hog        the tables of an evaluated run too, for comparisons

The split by person is that of the bundle with the same ``--seed``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.feature import hog

import monai_seg.data as data
from monai_seg.data.split import split_groups
from monai_seg.handlers.classified_cases import ClassifiedCases
from monai_seg.losses import class_weights
from monai_seg.metrics.classification import classification_measures

SHARES = (0.7, 0.1, 0.2)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def features(file: str, size: int = 96) -> np.ndarray:
    """HOG of a grey face: 8 directions, cells of 12 x 12 pixels, blocks of 2 x 2 cells."""
    with Image.open(file) as image:
        grey = np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR), dtype=float) / 255
    return hog(grey, orientations=8, pixels_per_cell=(12, 12), cells_per_block=(2, 2)).astype(np.float32)


def logistic(x: torch.Tensor, y: torch.Tensor, classes: int, penalty: float) -> torch.nn.Linear:
    """Multinomial logistic regression, each class weighing the same, to its optimum."""
    model = torch.nn.Linear(x.shape[1], classes)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    weight = class_weights(torch.bincount(y, minlength=classes).clamp(min=1).tolist(), "weighted")
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(model(x), y, weight=weight)
        value = value + penalty * model.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return model


def regression(x: torch.Tensor, y: torch.Tensor, parts: dict[str, list[int]], classes: int) -> torch.Tensor:
    """Probabilities of the test cases, by the penalty that is best in validation."""
    mean, deviation = x[parts["training"]].mean(0), x[parts["training"]].std(0).clamp(min=1e-6)
    scaled = (x - mean) / deviation
    best, chosen = -1.0, None
    for penalty in PENALTIES:
        model = logistic(scaled[parts["training"]], y[parts["training"]], classes, penalty)
        shares = model(scaled[parts["validation"]]).softmax(1).detach()
        value = float(classification_measures(shares, y[parts["validation"]])["balanced_accuracy"])
        if value > best:
            best, chosen = value, model
    if chosen is None:
        raise ValueError("balanced accuracy is undefined: the validation section holds no case")
    return chosen(scaled[parts["test"]]).softmax(1).detach()


def nearest(x: torch.Tensor, y: torch.Tensor, parts: dict[str, list[int]], classes: int) -> torch.Tensor:
    """Certainty of the class of the most similar training case."""
    unit = torch.nn.functional.normalize(x, dim=1)
    place = (unit[parts["test"]] @ unit[parts["training"]].T).argmax(1)
    return torch.nn.functional.one_hot(y[parts["training"]][place], classes).double()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders, with identities.csv")
    parser.add_argument("-o", "--output", type=Path, help="folder for metrics/per_case.csv and summary.json")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sections = data.sections(options.data, target_key="class", seed=options.seed)
    records = [record for part in sections.values() for record in part]
    names = sorted({record["class"] for record in records})
    began = time.process_time()
    x = torch.from_numpy(np.stack([features(record["image"]) for record in records]))
    y = torch.tensor(data.class_indices(records, names))
    ends = np.cumsum([len(part) for part in sections.values()]).tolist()
    honest = {name: list(range(end - len(part), end)) for (name, part), end in zip(sections.items(), ends, strict=True)}
    doubled = doubled_pool(len(records), y.tolist(), options.seed)
    judged = {}
    for split, parts in (("by person", honest), ("doubled pool, at random", doubled)):
        for method in (regression, nearest):
            shares = method(x, y, parts, len(names))
            test = [records[place] for place in parts["test"]]
            files = tuple(f"{place}:{record['image']}" if split != "by person" else record["image"]
                          for place, record in enumerate(test))  # fmt: skip
            persons = tuple(str(record.get("group", record["image"])) for record in test)
            judged[split, method.__name__] = ClassifiedCases(tuple(names), files, persons, y[parts["test"]], shares)
    lines = [f"{'split':<24} {'HOG and':<12} {'balanced accuracy':<25} {'accuracy':<25} without the smallest class"]
    for (split, method), cases in judged.items():
        summary = cases.summary()
        shown = [interval(summary[name]["mean"]) for name in ("balanced_accuracy", "accuracy")]
        smallest = int(torch.bincount(y, minlength=len(names)).argmin())
        recall = [summary["recall"][name]["mean"] for index, name in enumerate(names) if index != smallest]
        lines.append(f"{split:<24} {method:<12} {shown[0]:<25} {shown[1]:<25} {np.mean(recall):.3f}")
    lines.append(f"{time.process_time() - began:.0f} processor seconds in all")
    print("\n".join(lines))  # noqa: T201 - what this script is for
    if options.output:
        folder, cases = options.output / "metrics", judged["by person", "regression"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "per_case.csv").write_text(cases.per_case_csv(options.data.resolve()))
        (folder / "summary.json").write_text(json.dumps(cases.summary(), indent=2) + "\n")


def doubled_pool(count: int, classes: list[int], seed: int) -> dict[str, list[int]]:
    """The published study's likely mistake: each image twice in the pool, dealt out by image."""
    pool = [place % count for place in range(2 * count)]
    section = split_groups([f"{place}" for place in range(2 * count)], [classes[place] for place in pool], SHARES, seed)
    return {
        name: [place for place, number in zip(pool, section, strict=True) if number == index]
        for index, name in enumerate(("training", "validation", "test"))
    }


def interval(entry: dict) -> str:
    return f"{entry['mean']:.3f} [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"


if __name__ == "__main__":
    main()
