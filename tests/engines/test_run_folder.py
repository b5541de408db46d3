"""Run folders: where they lie, what they record, what they refuse, and which data they call their own."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from monai_seg.data import LayoutError
from monai_seg.engines import RunFolder, RunFolderError, run_folder, save_checkpoint


def pairs(folder: Path, first: int = 0, count: int = 6) -> Path:
    for value in range(first, first + count):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((2, 2), value, np.uint8)).save(folder / kind / f"case_{value}.png")
    return folder


@pytest.fixture(autouse=True)
def log_as_it_was():
    yield
    package = logging.getLogger("monai_seg")
    for handler in [handler for handler in package.handlers if isinstance(handler, logging.FileHandler)]:
        package.removeHandler(handler)
        handler.close()


@pytest.fixture
def data(tmp_path) -> Path:
    return pairs(tmp_path / "data")


@pytest.fixture
def bundle(tmp_path) -> Path:
    path = tmp_path / "bundles" / "toy_bundle"
    path.mkdir(parents=True)
    return path


def begin(bundle: Path, dataset_dir: Path, run_dir: Path | str = "", resume=False, rate=0.1, **options) -> RunFolder:
    """Begin a run as a bundle does, from inside a configuration."""
    target = {"_target_": "monai_seg.engines.RunFolder", "run_dir": "@run_dir", "resume": "@resume", **options}
    config = {
        "run_dir": str(run_dir),
        "resume": resume,
        "learning_rate": rate,
        "copy": "%learning_rate",
        "folder": target | {"bundle_root": str(bundle), "dataset_dir": str(dataset_dir)},
        "begin": "$@folder.begin()",
    }
    parser = ConfigParser(config)
    parser.get_parsed_content("begin")
    return parser.get_parsed_content("folder")


def begun_error(*args, **options) -> RunFolderError:
    with pytest.raises(RuntimeError) as caught:
        begin(*args, **options)
    error = caught.value
    while not isinstance(error, RunFolderError):
        error = error.__cause__
        assert error is not None, "no error of ours"
    return error


def finish(folder: RunFolder) -> RunFolder:
    save_checkpoint(folder.best_model, {})
    save_checkpoint(folder.last_state, {})
    return folder


def cases(records) -> list[str]:
    return sorted(Path(record["image"]).stem for record in records)


def test_nothing_is_written_before_a_run_begins(bundle, data, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    folder = RunFolder(bundle, data, run_dir=tmp_path / "run")
    assert len([record for records in folder.sections.values() for record in records]) == 6
    assert (folder.results, folder.predictions) == (tmp_path / "run" / "metrics", tmp_path / "run" / "predictions")
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_lie_beside_the_bundles_or_inside_a_bundle_elsewhere(bundle, tmp_path):
    assert RunFolder(bundle).runs == tmp_path / "runs" / "toy_bundle"
    assert RunFolder(tmp_path / "downloaded").runs == tmp_path / "downloaded" / "runs"


def test_a_begun_run_records_configuration_data_and_environment(bundle, data):
    folder = begin(bundle, data, seed=3)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "checkpoints", "config.yaml", "datalist.json", "environment.json", "train.log",
    ]  # fmt: skip
    assert folder.path.parent == folder.runs
    config = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert config["learning_rate"] == config["copy"] == 0.1
    stored = json.loads((folder.path / "datalist.json").read_text())
    assert (stored["seed"], len(stored["training"]) + len(stored["validation"]) + len(stored["test"])) == (3, 6)
    (session,) = json.loads((folder.path / "environment.json").read_text())["sessions"]
    assert len(session["data_hash"]) == 64
    assert {name: cases(part) for name, part in folder.sections.items()} == {
        name: cases(part) for name, part in RunFolder(bundle, data, seed=3).sections.items()
    }


def test_each_run_logs_to_its_own_file_and_a_resumed_one_goes_on_with_it(bundle, data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "monai_seg")
    logger = logging.getLogger("monai_seg.handlers.console")
    for name in ("first", "second"):
        begin(bundle, data, run_dir=tmp_path / name)
        logger.info("a line of the %s run: größer", name)
    begin(bundle, data, run_dir=tmp_path / "first", resume=True)
    logger.info("a line of the resumed run")
    lines = {name: (tmp_path / name / "train.log").read_text("utf-8") for name in ("first", "second")}
    assert lines["first"].count("a line of the first run: größer") == lines["first"].count("resumed run") == 1
    assert lines["second"].count("a line of") == lines["second"].count("a line of the second run: größer") == 1


def test_two_runs_within_a_second_get_two_folders(bundle, data, monkeypatch):
    class OneMoment(run_folder.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(run_folder, "datetime", OneMoment)
    names = [begin(bundle, data).path.name for _ in range(3)]
    assert names == ["20260102-030405", "20260102-030405-2", "20260102-030405-3"]


def test_an_old_run_is_not_overwritten_but_gone_on_with(bundle, data, tmp_path):
    begin(bundle, data, run_dir=tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_bytes()
    error = begun_error(bundle, data, run_dir=tmp_path / "run")
    assert "already holds a run\n  mend   give --resume true" in str(error)
    begin(bundle, data, run_dir=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == config
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())["sessions"]) == 2


def test_a_resumed_run_keeps_its_sections_whatever_it_is_told_now(bundle, data, tmp_path):
    first = begin(bundle, data, run_dir=tmp_path / "run", seed=0)
    sections = {name: cases(part) for name, part in first.sections.items()}
    other = next(s for s in range(1, 50) if cases(RunFolder(bundle, data, seed=s).sections["test"]) != sections["test"])
    resumed = begin(bundle, data, run_dir=tmp_path / "run", resume=True, seed=other)
    assert {name: cases(part) for name, part in resumed.sections.items()} == sections


def test_a_resumed_run_refuses_data_that_changed(bundle, data, tmp_path):
    begin(bundle, data, run_dir=tmp_path / "run")
    Image.fromarray(np.full((2, 2), 99, np.uint8)).save(data / "masks" / "case_0.png")
    error = begun_error(bundle, data, run_dir=tmp_path / "run", resume=True)
    assert "changed since the run in" in str(error)


def test_a_resumed_run_says_which_settings_changed(bundle, data, tmp_path, caplog):
    begin(bundle, data, run_dir=tmp_path / "run")
    begin(bundle, data, run_dir=tmp_path / "run", resume=True)
    assert "resumed with another" not in caplog.text
    begin(bundle, data, run_dir=tmp_path / "run", resume=True, rate=0.2)
    assert "resumed with another learning_rate: 0.2, the run began with 0.1" in caplog.text
    caplog.clear()
    before = {"network_def": {"features": [4, 8], "act": "relu"}, "steps": [{"prob": 0.1}]}
    run_folder._say_what_changed(before, {"network_def": {"features": [4, 9], "act": "relu"}, "steps": [{"prob": 0.1}]})
    assert [record.getMessage() for record in caplog.records] == [
        "resumed with another network_def#features: [4, 9], the run began with [4, 8]"
    ]
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["learning_rate"] == 0.1


def test_data_that_cannot_be_split_leave_no_folder_behind(bundle, tmp_path):
    with pytest.raises(RuntimeError):
        begin(bundle, pairs(tmp_path / "few", count=2), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_while_it_began_can_begin_again(bundle, data, tmp_path):
    begin(bundle, data, run_dir=tmp_path / "run")
    (tmp_path / "run" / "config.yaml").unlink()
    assert begin(bundle, data, run_dir=tmp_path / "run").path.joinpath("config.yaml").is_file()


def test_leftovers_of_killed_saves_are_removed(bundle, data, tmp_path):
    folder = finish(begin(bundle, data, run_dir=tmp_path / "run"))
    (folder.path / "checkpoints" / ".tmp-abc-last.pt").write_bytes(b"half")
    begin(bundle, data, run_dir=tmp_path / "run", resume=True)
    assert sorted(path.name for path in (folder.path / "checkpoints").iterdir()) == ["best.pt", "last.pt"]


def test_newest_run_is_the_last_one_that_has_the_checkpoint(bundle):
    folder = RunFolder(bundle)
    for name in ("20260102-000000", "20260301-000000", "20260301-000000-2", "20250909-000000"):
        save_checkpoint(folder.runs / name / "checkpoints" / "best.pt", {})
    (folder.runs / "20270101-000000" / "checkpoints").mkdir(parents=True)
    assert folder.newest("best.pt").name == "20260301-000000-2"


def test_a_run_with_a_name_of_its_own_is_newest_only_while_it_is(bundle):
    folder = RunFolder(bundle)
    for name in ("trial", "20260102-000000"):
        save_checkpoint(folder.runs / name / "checkpoints" / "best.pt", {})
    checkpoint = folder.runs / "trial" / "checkpoints" / "best.pt"
    os.utime(checkpoint, (0, 1_700_000_000))  # in 2023
    assert folder.newest("best.pt").name == "20260102-000000"
    os.utime(checkpoint, (0, 1_900_000_000))  # in 2030
    assert folder.newest("best.pt").name == "trial"


@pytest.mark.parametrize("checkpoint", ["last.pt", "best.pt"])
def test_no_run_at_all_says_where_it_looked(bundle, data, checkpoint):
    act = {"last.pt": lambda: begin(bundle, data, resume=True), "best.pt": RunFolder(bundle, data).open}[checkpoint]
    with pytest.raises((RuntimeError, RunFolderError)) as caught:
        act()
    error = caught.value
    while not isinstance(error, RunFolderError):
        error = error.__cause__
    assert f"no run of toy_bundle has a {checkpoint}\n  looked in" in str(error)


def test_a_named_run_without_a_best_model_cannot_be_evaluated(bundle, data, tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no checkpoints/best\.pt"):
        RunFolder(bundle, data, run_dir=tmp_path / "run").open()


def test_own_data_are_evaluated_on_their_test_section(bundle, data, tmp_path, monkeypatch):
    begun = finish(begin(bundle, data, run_dir=tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    for given in (data, "data", "./data/../data"):
        folder = RunFolder(bundle, given, run_dir=tmp_path / "run")
        folder.open()
        assert folder.results == tmp_path / "run" / "metrics"
        assert cases(folder.sections["test"]) == cases(begun.sections["test"])


def test_own_data_are_known_again_where_the_run_lies_inside_them(bundle, data, tmp_path, monkeypatch):
    finish(begin(bundle, data, run_dir=data / "run"))
    monkeypatch.chdir("/")
    folder = RunFolder(bundle, data, run_dir=data / "run")
    folder.open()
    assert folder.results == data / "run" / "metrics"
    shutil.move(data, tmp_path / "moved")
    folder = RunFolder(bundle, tmp_path / "moved", run_dir=tmp_path / "moved" / "run")
    folder.open()
    assert folder.results == tmp_path / "moved" / "run" / "metrics"


def test_a_datalist_that_was_trained_on_is_not_external(bundle, data, tmp_path):
    records = [{"image": f"images/case_{n}.png", "label": f"masks/case_{n}.png"} for n in range(6)]
    content = {"training": records[:3], "validation": records[3:4], "test": records[4:]}
    (data / "list.json").write_text(json.dumps(content))
    finish(begin(bundle, data / "list.json", run_dir=tmp_path / "run"))
    folder = RunFolder(bundle, data / "list.json", run_dir=tmp_path / "run")
    folder.open()
    assert folder.results == tmp_path / "run" / "metrics"
    assert cases(folder.sections["test"]) == ["case_4", "case_5"]


def test_external_data_get_a_folder_of_their_own_and_only_a_test_section(bundle, data, tmp_path):
    finish(begin(bundle, data, run_dir=tmp_path / "run"))
    other = pairs(tmp_path / "other_site", first=50, count=3)
    folder = RunFolder(bundle, other, run_dir=tmp_path / "run")
    folder.open()
    place = tmp_path / "run" / "external" / "other_site"
    assert (folder.results, folder.predictions, folder.figures) == (place, place / "predictions", place / "figures")
    sections = folder.sections
    assert cases(sections["test"]) == ["case_50", "case_51", "case_52"]
    assert sections["training"] == sections["validation"] == []


def test_photographs_without_masks_are_of_use_where_the_bundle_asks_for_none(bundle, data, tmp_path):
    photographs = pairs(tmp_path / "photographs", first=50)
    shutil.rmtree(photographs / "masks")
    with pytest.raises(LayoutError, match="6 cases without a mask"):
        RunFolder(bundle, photographs, run_dir=tmp_path / "run").sections
    begun = begin(bundle, photographs, run_dir=tmp_path / "run", target_key=None)
    assert sum(map(len, begun.sections.values())) == 6
    finish(begin(bundle, data, run_dir=tmp_path / "other"))
    folder = RunFolder(bundle, photographs, run_dir=tmp_path / "other", target_key=None)
    folder.open()
    assert folder.results == tmp_path / "other" / "external" / "photographs"
    assert cases(folder.sections["test"]) == [f"case_{n}" for n in range(50, 56)]


def test_external_cases_that_were_trained_on_are_refused_under_any_name(bundle, data, tmp_path):
    trained = finish(begin(bundle, data, run_dir=tmp_path / "run")).sections["training"][0]["image"]
    other = pairs(tmp_path / "other_site", first=50, count=3)
    shutil.copy(trained, other / "images" / "renamed.png")
    shutil.copy(trained, other / "masks" / "renamed.png")
    folder = RunFolder(bundle, other, run_dir=tmp_path / "run")
    folder.open()
    with pytest.raises(RunFolderError, match=r"1 of 4 cases of .*other_site were trained on") as caught:
        folder.sections
    assert "renamed.png (trained on as " in str(caught.value)
    assert Path(trained).name in str(caught.value)


def test_cases_of_the_own_test_section_may_be_in_an_external_set(bundle, data, tmp_path):
    tested = finish(begin(bundle, data, run_dir=tmp_path / "run")).sections["test"][0]
    for kind, key in (("images", "image"), ("masks", "label")):
        (tmp_path / "other" / kind).mkdir(parents=True)
        shutil.copy(tested[key], tmp_path / "other" / kind)
    folder = RunFolder(bundle, tmp_path / "other", run_dir=tmp_path / "run")
    folder.open()
    assert cases(folder.sections["test"]) == [Path(tested["image"]).stem]


def test_sample_data_stand_for_no_data_named(bundle, data, tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_SEG_CACHE", str(tmp_path / "cache"))
    run = finish(begin(bundle, data, tmp_path / "mine"))
    sample = pairs(tmp_path / "cache" / "cells-v1-seed0", first=50)
    folder = RunFolder(bundle, sample, run_dir=tmp_path / "mine")
    folder.open()
    assert folder.results == tmp_path / "mine" / "metrics"
    assert cases(folder.sections["test"]) == cases(run.sections["test"])
