"""Datalists: which cases come into which section, and that a written list is read back the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import monai_seg.data
from monai_seg.data import DataError, LayoutError, data_hash, datalist, read_datalist, sections, write_datalist
from monai_seg.data.sectioning import folded_sections


def make_pairs(root: Path, *names: str, labelled: bool = True) -> Path:
    for name in names:
        image = root / f"images/{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_text(f"image {name}")
        if labelled:
            mask = root / f"masks/{name}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask.write_text(f"mask {name}")
    return root


def stems(records: list[dict]) -> set[str]:
    return {Path(record["image"]).stem for record in records}


PATIENTS = [f"p{patient}_{number}" for patient in range(10) for number in range(patient % 3 + 1)]


def test_plain_split_covers_all_cases_once(tmp_path):
    parts = sections(make_pairs(tmp_path, *map(str, range(20))))
    assert {name: len(part) for name, part in parts.items()} == {"training": 14, "validation": 2, "test": 4}
    assert set.union(*map(stems, parts.values())) == set(map(str, range(20)))
    assert datalist(tmp_path, "test") == parts["test"]


def test_split_does_not_depend_on_where_the_data_lie(tmp_path):
    first, second = (sections(make_pairs(tmp_path / place, *map(str, range(20)))) for place in ("a", "b/c"))
    assert [stems(part) for part in first.values()] == [stems(part) for part in second.values()]


def test_groups_are_whole_in_every_fold_and_test_is_always_the_same(tmp_path):
    make_pairs(tmp_path, *PATIENTS)
    tests, validated = [], []
    for fold in range(4):
        parts = sections(tmp_path, group_by=r"images/(p\d+)_", fold=fold, folds=4)
        patients = [{name.split("_")[0] for name in stems(part)} for part in parts.values()]
        assert sum(map(len, patients)) == 10
        tests.append(stems(parts["test"]))
        validated.extend(stems(parts["validation"]))
    assert all(test == stems(datalist(tmp_path, "test", group_by=r"images/(p\d+)_")) for test in tests)
    assert sorted([*validated, *tests[0]]) == sorted(PATIENTS)


def test_alternatives_in_group_by_make_blocks(tmp_path):
    make_pairs(tmp_path, *map(str, range(10, 40)))
    parts = sections(tmp_path, group_by=r"images/(?:(\d)[0-4]|(\d)[5-9])\.")
    assert len({record["group"] for part in parts.values() for record in part}) == 6


def test_group_by_that_fits_not_all_names_the_file(tmp_path):
    make_pairs(tmp_path, "p1_a", "p2_a", "stranger")
    with pytest.raises(DataError, match=r"images/stranger\.png"):
        sections(tmp_path, group_by=r"p\d")


def test_group_by_must_be_a_regular_expression(tmp_path):
    with pytest.raises(ValueError, match=r"group_by '\(' is no regular expression"):
        sections(make_pairs(tmp_path, "a"), group_by="(")


def test_too_few_groups_are_told(tmp_path):
    with pytest.raises(ValueError, match="2 cases in 2 groups cannot fill 3 sections"):
        sections(make_pairs(tmp_path, "a", "b"))


def test_sections_on_disk_are_kept_and_the_others_split_off(tmp_path):
    make_pairs(tmp_path / "train", *(f"t{i}" for i in range(16)))
    make_pairs(tmp_path / "test", "x", "y")
    parts = sections(tmp_path)
    assert stems(parts["test"]) == {"x", "y"}
    assert (len(parts["training"]), len(parts["validation"])) == (14, 2)


def test_unlabelled_test_images_are_not_the_test_section(tmp_path):
    make_pairs(tmp_path / "train", *(f"t{i}" for i in range(10)))
    make_pairs(tmp_path / "test", "x", labelled=False)
    parts = sections(tmp_path)
    assert {name: len(part) for name, part in parts.items()} == {"training": 7, "validation": 1, "test": 2}
    assert "x" not in set.union(*map(stems, parts.values()))


def test_a_group_in_two_given_sections_is_refused(tmp_path):
    make_pairs(tmp_path / "train", "p1_a", "p2_a")
    make_pairs(tmp_path / "val", "p3_a")
    make_pairs(tmp_path / "test", "p1_b")
    with pytest.raises(DataError, match=r"group 'p1' is in training and test(?s:.)*test/images/p1_b\.png"):
        sections(tmp_path, group_by=r"p\d")


def test_no_label_at_all(tmp_path):
    make_pairs(tmp_path / "test", "a", labelled=False)
    make_pairs(tmp_path / "train", "b")
    shutil.rmtree(tmp_path / "train" / "images")
    with pytest.raises(LayoutError, match=r"no case with a mask in .*\n  found  1 case without a mask"):
        sections(tmp_path)


def test_unknown_section(tmp_path):
    with pytest.raises(ValueError, match="no section 'train'; give one of training, validation, test"):
        datalist(tmp_path, "train")


def write_json(root: Path, content: dict) -> Path:
    (root / "datalist.json").write_text(json.dumps(content))
    return root


def test_folds_and_groups_of_the_records_are_honoured(tmp_path):
    make_pairs(tmp_path, *"abcdef")
    records = [
        {"image": f"images/{n}.png", "label": f"masks/{n}.png", "fold": i % 2, "group": n} for i, n in enumerate("abcd")
    ]
    write_json(tmp_path, {"training": records, "test": [{"image": "images/e.png", "label": "masks/e.png"}]})
    parts = sections(tmp_path, fold=1)
    assert (stems(parts["training"]), stems(parts["validation"])) == ({"a", "c"}, {"b", "d"})
    with pytest.raises(ValueError, match="no fold 2; there are the folds 0, 1"):
        sections(tmp_path, fold=2)
    del records[2]["fold"]
    write_json(tmp_path, {"training": records, "test": [{"image": "images/e.png", "label": "masks/e.png"}]})
    with pytest.raises(ValueError, match=r"images/c\.png has no 'fold'"):
        sections(tmp_path, fold=1)


def test_classes_are_stratified(tmp_path):
    make_pairs(tmp_path, *map(str, range(100)))
    records = [{"image": f"images/{i}.png", "class": "rare" if i < 10 else "common"} for i in range(100)]
    parts = sections(write_json(tmp_path, {"training": records}), target_key="class")
    assert [sum(r["class"] == "rare" for r in part) for part in parts.values()] == pytest.approx([7, 1, 2], abs=1)


@pytest.mark.parametrize("place", ["data/datalist.json", "run/datalist.json", "list.json"])
def test_written_list_is_read_back_the_same(tmp_path, place):
    data = make_pairs(tmp_path / "data", *PATIENTS)
    parts = sections(data, group_by=r"p\d+")
    write_datalist(tmp_path / place, parts, data, seed=0, group_by=r"p\d+")
    content = json.loads((tmp_path / place).read_text())
    assert content["training"][0]["image"].startswith("images/")
    assert (content["seed"], content["group_by"]) == (0, r"p\d+")
    read = read_datalist(tmp_path / place)
    assert all(len(record.pop("sha256")) == 64 for part in read.values() for record in part)
    assert read == parts
    again = sections(tmp_path / place)
    assert [stems(part) for part in again.values()] == [stems(part) for part in parts.values()]


def test_list_inside_its_data_may_move(tmp_path):
    data = make_pairs(tmp_path / "data", *map(str, range(9)))
    write_datalist(data / "datalist.json", sections(data), data)
    data.rename(tmp_path / "moved")
    assert len(datalist(tmp_path / "moved", "training")) == 6


def test_list_of_a_list_keeps_the_data_folder(tmp_path):
    data = make_pairs(tmp_path / "data", *map(str, range(9)))
    write_datalist(tmp_path / "one" / "a.json", sections(data), data)
    write_datalist(tmp_path / "two" / "b.json", sections(tmp_path / "one" / "a.json"), tmp_path / "one" / "a.json")
    assert read_datalist(tmp_path / "one" / "a.json") == read_datalist(tmp_path / "two" / "b.json")


def test_list_with_a_missing_file_is_refused(tmp_path):
    data = make_pairs(tmp_path, *map(str, range(9)))
    write_datalist(tmp_path / "datalist.json", sections(data), data)
    (data / "images/3.png").unlink()
    with pytest.raises(DataError, match=r"images/3\.png"):
        read_datalist(tmp_path / "datalist.json")


def test_folded_sections_keep_their_folds(tmp_path):
    data = make_pairs(tmp_path / "data", *PATIENTS)
    folded = folded_sections(data, folds=3, group_by=r"p\d+")
    write_datalist(tmp_path / "folds.json", folded, data, folds=3)
    for fold in range(3):
        direct = sections(data, fold=fold, folds=3, group_by=r"p\d+")
        listed = sections(tmp_path / "folds.json", fold=fold)
        assert [stems(part) for part in direct.values()] == [stems(part) for part in listed.values()]


def test_data_hash_follows_content_and_name_but_not_place_or_section(tmp_path):
    names = list(map(str, range(9)))
    first, second = (sections(make_pairs(tmp_path / place, *names)) for place in ("a", "b"))
    assert data_hash(first) == data_hash(second) == data_hash(sections(tmp_path / "a", seed=5))
    (tmp_path / "b/masks/3.png").write_text("other")
    assert data_hash(first) != data_hash(second)
    assert data_hash({}) == data_hash({"training": []})


def test_public_names_are_functions_also_after_their_files_are_imported():
    for name in monai_seg.data.__all__:
        if name != "sample_data":  # its files are tested on their own
            assert callable(getattr(monai_seg.data, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        monai_seg.data.nothing
