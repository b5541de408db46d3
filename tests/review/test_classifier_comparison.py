"""Two classifiers compared: by hand, against scipy, no difference where there is none, and tables that do not fit."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from monai_seg.review import ComparisonError, compare_classifiers

NAMES = np.array(["anger", "fear", "joy"])


def table(folder: Path, reference, prediction, persons) -> Path:
    (folder / "metrics").mkdir(parents=True)
    with (folder / "metrics" / "per_case.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "class", "file", "person", "reference", "prediction"])
        for number, (true, said, person) in enumerate(zip(reference, prediction, persons, strict=True)):
            name = NAMES[true]
            writer.writerow([f"{number}", name, f"{name}/{number}.png", person, name, NAMES[said]])
    return folder


def answers(right: float, count: int = 300, seed: int = 0):
    draw = np.random.default_rng(seed)
    reference = np.random.default_rng(99).integers(0, 3, count)
    wrong = (reference + draw.integers(1, 3, count)) % 3
    return reference, np.where(draw.random(count) < right, reference, wrong)


def test_counts_values_and_mcnemar_by_hand(tmp_path):
    reference = [0, 0, 1, 1, 2, 2, 2, 2]
    first, second = [0, 1, 1, 0, 2, 2, 0, 0], [0, 0, 1, 1, 2, 0, 2, 2]
    persons = list("abcdefgh")
    found = compare_classifiers(
        table(tmp_path / "one", reference, first, persons), table(tmp_path / "two", reference, second, persons)
    )
    assert (found.cases, found.persons, found.only_first, found.only_second) == (8, 8, 1, 4)
    assert found.mcnemar_p == pytest.approx(binomtest(1, 5).pvalue)
    assert (found.differences["accuracy"].first, found.differences["accuracy"].second) == (0.5, 0.875)
    balanced = found.differences["balanced_accuracy"]
    assert balanced.difference == pytest.approx((1 + 1 + 0.75) / 3 - (0.5 + 0.5 + 0.5) / 3)
    assert "right in one alone: 1 and 4" in str(found)


def test_a_better_one_is_seen_and_an_equal_one_is_not(tmp_path):
    persons = [f"p{number // 2}" for number in range(300)]
    folders = [
        table(tmp_path / name, *answers(right, seed=seed), persons)
        for name, right, seed in (("poor", 0.6, 1), ("good", 0.8, 2), ("same", 0.6, 3))
    ]
    better = compare_classifiers(folders[0], folders[1])
    for each in better.differences.values():
        assert each.ci_low > 0
        assert each.p < 0.01
    equal = compare_classifiers(folders[0], folders[2])
    for each in equal.differences.values():
        assert each.ci_low < 0 < each.ci_high
        assert each.p > 0.05


def test_cases_of_one_person_are_one_piece_of_evidence(tmp_path):
    """Ten copies of each answer: McNemar takes them for evidence, the permutation by person does not."""
    reference, first = answers(0.5, count=24, seed=4)
    _, second = answers(0.7, count=24, seed=5)
    alone = [table(tmp_path / name, reference, said, range(24)) for name, said in (("a", first), ("b", second))]
    copies = [
        table(tmp_path / name, np.repeat(reference, 10), np.repeat(said, 10), np.repeat(range(24), 10))
        for name, said in (("c", first), ("d", second))
    ]
    one, ten = compare_classifiers(*alone), compare_classifiers(*copies)
    assert ten.mcnemar_p < one.mcnemar_p / 5
    assert ten.differences["accuracy"] == one.differences["accuracy"]


def test_a_run_and_itself(tmp_path):
    folder = table(tmp_path / "one", *answers(0.7), range(300))
    found = compare_classifiers(folder, folder / "metrics" / "per_case.csv")
    assert found.mcnemar_p == 1
    assert found.differences["f1"].difference == 0
    assert found.differences["f1"].p == 1


def test_other_cases_other_truth_and_other_tables_are_refused(tmp_path):
    reference, said = answers(0.7)
    one = table(tmp_path / "one", reference, said, range(300))
    fewer = table(tmp_path / "fewer", reference[:-1], said[:-1], range(299))
    with pytest.raises(ComparisonError, match=r"not of the same cases: 1 are in one alone, such as \w+/299.png"):
        compare_classifiers(one, fewer)
    other = table(tmp_path / "other", reference, said, range(300))
    text = (other / "metrics" / "per_case.csv").read_text().splitlines()
    cells = text[1].split(",")
    cells[4] = "fear" if cells[4] != "fear" else "joy"
    (other / "metrics" / "per_case.csv").write_text("\n".join([text[0], ",".join(cells), *text[2:]]))
    with pytest.raises(ComparisonError, match="1 cases have another true class"):
        compare_classifiers(one, other)
    (tmp_path / "seg.csv").write_text("case,class,dice\na,b,0.5\n")
    with pytest.raises(ComparisonError, match="no table of a classifier"):
        compare_classifiers(one, tmp_path / "seg.csv")
    with pytest.raises(ComparisonError, match=r"holds no per_case\.csv"):
        compare_classifiers(one, tmp_path / "nowhere")
