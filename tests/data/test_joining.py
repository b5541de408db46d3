"""Several data sets in one split: what stays, what follows its group, and that no group is ever in two sections."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_seg.data import DataError, read_datalist, sections, write_datalist
from monai_seg.data.joining import join
from monai_seg.data.layouts.listing import SECTIONS, Listing
from monai_seg.data.sectioning import folded_sections

SHARES = (0.7, 0.1, 0.2)
PERSONS = st.integers(0, 25)


def listing(name: str, **persons: list[object]) -> Listing:
    """A data set with one case for each person that a section names."""
    root = Path("/data", name)
    cases = {
        section: [
            {"image": str(root / section / f"{number}.png"), "group": f"p{person}"}
            for number, person in enumerate(people)
        ]
        for section, people in persons.items()
    }
    return Listing("images", root, {section: records for section, records in cases.items() if records})


def persons_in(parts: dict[str, list[dict]]) -> dict[str, set[str]]:
    return {name: {record["group"] for record in records} for name, records in parts.items()}


@st.composite
def data_sets(draw) -> list[Listing]:
    """One that is complete on disk, and up to three of any kind that agree with it about its persons."""
    home = {person: SECTIONS[person % 3] for person in range(12)}  # persons from 12 on are only in unsplit cases
    drawn = [listing("0", **{name: [p for p in home if home[p] == name] for name in SECTIONS})]
    for number in range(1, 1 + draw(st.integers(1, 3))):
        on_disk = {name: draw(st.lists(st.sampled_from([p for p in home if home[p] == name]))) for name in SECTIONS}
        if draw(st.booleans()):
            on_disk["validation"] = []
        drawn.append(listing(str(number), **on_disk, unsplit=draw(st.lists(PERSONS))))
    return draw(st.permutations([each for each in drawn if each.sections]))


@given(data_sets(), st.integers(0, 2**32))
def test_cases_on_disk_stay_the_others_follow_and_no_group_is_apart(listings, seed):
    parts = join(listings, seed, SHARES)
    given = [record["image"] for each in listings for part in each.sections.values() for record in part]
    assert Counter(record["image"] for part in parts.values() for record in part) == Counter(given)
    persons = persons_in(parts)
    assert sum(map(len, persons.values())) == len(set.union(*persons.values()))
    for name, people in persons.items():
        assert {p for p in people if int(p[1:]) < 12} == {f"p{p}" for p in range(12) if SECTIONS[p % 3] == name}


@given(st.lists(PERSONS, min_size=3).filter(lambda people: len(set(people)) > 2), st.integers(0, 2**32))
def test_a_data_set_is_split_alike_with_and_without_strangers(people, seed):
    mine = listing("mine", unsplit=people)
    for record in mine.sections["unsplit"][::4]:
        del record["group"]  # such a case stands alone
    others = [
        listing("complete", training=[90], validation=[91], test=[92]),
        listing("other", unsplit=range(100, 140)),
    ]
    together = join([*others, mine], seed, SHARES)
    alone = join([mine], seed, SHARES)
    assert {name: [r for r in part if "/mine/" in r["image"]] for name, part in together.items()} == alone


def test_a_group_on_disk_draws_the_unsplit_cases_of_other_data_sets():
    faces = listing("faces", training=["a", "b"], validation=["c"], test=["d"])
    emotions = listing("emotions", unsplit=["d", "a", "c", "d", *range(40)])
    parts = join([emotions, faces], 0, SHARES)
    where = {r["image"].removeprefix("/data/"): name for name, records in parts.items() for r in records}
    assert [where[f"emotions/unsplit/{n}.png"] for n in range(4)] == ["test", "training", "validation", "test"]
    assert {name: len(records) for name, records in parts.items()} == {
        "training": 2 + 1 + 28, "validation": 1 + 1 + 4, "test": 1 + 2 + 8,
    }  # fmt: skip


def test_a_data_set_too_small_to_split_goes_to_training_where_others_fill_the_sections():
    complete = listing("complete", training=["a"], validation=["b"], test=["c"])
    small = listing("small", unsplit=["x", "x", "b"])
    assert persons_in(join([complete, small], 0, SHARES)) == {
        "training": {"pa", "px"}, "validation": {"pb"}, "test": {"pc"},
    }  # fmt: skip
    with pytest.raises(ValueError, match="3 cases in 2 groups cannot fill 3 sections"):
        join([small], 0, SHARES)


def test_training_cases_on_disk_follow_only_to_sections_that_their_data_set_lacks():
    complete = listing("complete", training=["a"], validation=["b"], test=["c"])
    lacks_validation = listing("partial", training=["b", *range(9)], test=["t"])
    parts = join([lacks_validation, complete], 0, SHARES)
    assert "/data/partial/training/0.png" in [record["image"] for record in parts["validation"]]


def pictures(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{root.name}/{name}")
    return root


@pytest.fixture
def faces(tmp_path) -> Path:
    root = pictures(tmp_path / "faces", *(f"images/{person}_{n}.jpg" for person in ("Ann", "Bo", "Cy") for n in "12"))
    for name, person in (("train", "Ann"), ("val", "Bo"), ("test", "Cy")):
        (root / f"{name}.txt").write_text(f"{person}_1.jpg\n{person}_2\n")
    return root


@pytest.fixture
def emotions(tmp_path) -> Path:
    people = ["Ann", "Cy", *(f"P{number}" for number in range(10))]
    return pictures(tmp_path / "emotions", *(f"{kind}/{p}_{kind}_1.jpg" for kind in ("fear", "joy") for p in people))


def test_folders_of_two_layouts_become_one_list(faces, emotions, tmp_path):
    person = r"([^/_]+)_[^/]*$"
    parts = sections(faces, emotions, group_by=person, target_key=None)
    people = persons_in(parts)
    assert {name: group & {"Ann", "Bo", "Cy"} for name, group in people.items()} == {
        "training": {"Ann"}, "validation": {"Bo"}, "test": {"Cy"},
    }  # fmt: skip
    assert [len(group) for group in people.values()] == [1 + 7, 1 + 1, 1 + 2]
    write_datalist(tmp_path / "lists" / "both.json", parts, faces, emotions)
    read = read_datalist(tmp_path / "lists" / "both.json")
    assert {name: [r | {"sha256": None} for r in part] for name, part in read.items()} == {
        name: [r | {"sha256": None} for r in part] for name, part in parts.items()
    }
    folded = folded_sections(faces, emotions, folds=3, group_by=person, target_key=None)
    assert folded["test"] == parts["test"]
    assert {record["fold"] for record in folded["training"]} == {0, 1, 2}


def test_the_folder_of_a_data_set_can_part_groups_of_one_name(faces, emotions):
    parts = sections(faces, emotions, group_by=r"(faces|emotions)/.*?([^/_]+)_[^/]*$", target_key=None)
    assert {"faces|Cy", "emotions|Cy"} <= set.union(*persons_in(parts).values())


def test_two_data_sets_that_disagree_on_disk_are_refused(tmp_path):
    for name, section in (("one", "train"), ("two", "test")):
        pictures(tmp_path / name, f"{section}/images/Ann_1.png", "val/images/Bo_1.png")
    pictures(tmp_path / "one", "test/images/Cy_1.png")
    pictures(tmp_path / "two", "train/images/Di_1.png")
    with pytest.raises(
        DataError, match=r"group 'Ann' is in training and test\n.*one/train/images(?s:.)*two/test/images"
    ):
        sections(tmp_path / "one", tmp_path / "two", group_by=r"([^/_]+)_\d", target_key=None)


def test_a_data_set_named_twice_is_refused(emotions):
    with pytest.raises(
        DataError, match=r"the image is in two data sets\n.*\n.*\n.*\n  mend      name each data set once"
    ):
        sections(emotions, emotions, target_key="class")
