"""Classes told by facts about files: areas against the count of pairs, and chance is chance."""

from __future__ import annotations

import numpy as np
import pytest

from monai_seg.data.duplicates.file_facts import FileFacts
from monai_seg.data.duplicates.shortcuts import _area, _area_with_interval, find_shortcuts


def facts(count: int, seed: int = 0, width=lambda index: 64, disk=None) -> list[FileFacts]:
    generator = np.random.default_rng(seed)
    disk = generator.random(count) if disk is None else disk
    return [
        FileFacts(
            {"format": ".png", "width": width(index), "bytes per pixel": float(disk[index])},
            {"brightness": float(generator.normal()), "grain": float(generator.normal())},
        )
        for index in range(count)
    ]


def test_area_counts_pairs():
    generator = np.random.default_rng(0)
    scores, is_class = generator.integers(0, 6, 50).astype(float), generator.random(50) < 0.4
    above = scores[is_class][:, None] > scores[~is_class]
    equal = scores[is_class][:, None] == scores[~is_class]
    expected = (above + equal / 2).mean()
    assert _area(scores, is_class) == pytest.approx(expected)
    area, low, high = _area_with_interval(scores, is_class, range(50))
    assert area == pytest.approx(expected)
    assert low < expected < high


@pytest.mark.parametrize("seed", range(4))
def test_chance_is_no_shortcut(seed):
    classes = np.random.default_rng(100 + seed).choice(["a", "b", "c"], 300).tolist()
    found = find_shortcuts(facts(300, seed), classes)
    assert len(found) == 9
    assert not any(each.is_found for each in found)
    assert all(each.area == 0.5 for each in found if each.told_by == "kind of file")


def test_size_on_disk_tells_one_class():
    classes = ["abc"[index % 3] for index in range(150)]
    disk = [1.0 + 0.001 * index + (name == "b") for index, name in enumerate(classes)]
    found = {(each.class_name, each.told_by): each for each in find_shortcuts(facts(150, disk=disk), classes)}
    assert [key for key, each in found.items() if each.is_found] == [("b", "size on disk")]
    assert found["b", "size on disk"].area > 0.98
    assert found["b", "size on disk"].facts == ("bytes per pixel",)


def test_a_person_is_not_taken_for_a_class():
    """Files of one person look alike; held out as a whole, they do not tell the class of another person."""
    people = np.arange(200) // 20
    classes = ["ab"[person % 2] for person in people]
    kinds = facts(200, width=lambda index: 50 + int(people[index]))
    assert not any(each.is_found for each in find_shortcuts(kinds, classes, people.tolist()))
    assert any(each.is_found for each in find_shortcuts(kinds, classes))


def test_too_few_images_say_nothing():
    assert find_shortcuts(facts(8), ["a"] * 4 + ["b"] * 4) == []
    assert find_shortcuts([], []) == []
    assert find_shortcuts(facts(20), ["a"] * 20) == []
