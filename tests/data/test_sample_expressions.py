"""Sample expressions: the same bytes for the same seed, a class folder each, persons known, moods told by features."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from monai_seg.data import check, sample_data, sections
from monai_seg.data.samples import expressions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Path(sample_data("expressions", tmp_path_factory.mktemp("cache")))


def test_classes_and_persons(folder):
    report = check(folder, class_names=list(expressions.MOODS), spatial_dims=2, in_channels=1)
    assert (report.faults, report.warnings, report.counts["cases"]) == ([], [], expressions.N_IMAGES)
    assert report.facts["layout"] == "classes"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == expressions.N_FILES


@pytest.mark.parametrize("seed", range(3))
def test_a_split_by_person_leaves_every_class_to_learn_from(folder, seed):
    parts = sections(folder, target_key="class", seed=seed)
    people = [{record["group"] for record in part} for part in parts.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == expressions.N_PERSONS
    assert min(Counter(record["class"] for record in parts["training"]).values()) >= 5
    assert len({record["class"] for record in parts["test"]}) >= 4


def test_bytes_follow_the_seed():
    first, again, other = (dict(list(expressions.generate(seed))[-8:]) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_moods_differ_more_than_noise_and_grey_levels_alone_tell_little():
    faces = {mood: expressions.draw_face(0, 3, 1, mood).astype(float) for mood in expressions.MOODS}
    again = expressions.draw_face(0, 3, 1, "anger")
    assert np.array_equal(again, faces["anger"])
    for mood in ("fear", "happiness", "sadness", "surprise"):
        change = np.abs(faces[mood] - faces["anger"])
        assert change.max() > 100
        assert abs(faces[mood].mean() - faces["anger"].mean()) < 4
