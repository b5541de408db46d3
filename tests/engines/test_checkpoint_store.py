"""The checkpoint store: what goes in comes out, a failed save changes nothing, no damaged or foreign file gets in."""

from __future__ import annotations

import os
import pickle
import threading
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monai_seg.engines import checkpoint
from monai_seg.engines.checkpoint import (
    CheckpointError,
    NonFiniteWeightsError,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)


def network(features: int = 2, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(3, features), torch.nn.BatchNorm1d(features))


def trained(seed: int = 0) -> dict:
    model = network(seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(4, 3).cumsum(0)).square().sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "checkpoints" / "last.pt"
    save_checkpoint(path, trained(), {"epoch": 3, "name": "dice"})
    return path


def test_everything_comes_back(file):
    stored, loaded = trained(), trained(seed=1)
    assert load_checkpoint(file, loaded) == {"epoch": 3, "name": "dice"}
    for name, value in stored["model"].state_dict().items():
        assert torch.equal(loaded["model"].state_dict()[name], value)
    moments = [item["optimizer"].state_dict()["state"][0]["exp_avg_sq"] for item in (stored, loaded)]
    assert torch.equal(*moments)
    assert [path.name for path in file.parent.iterdir()] == ["last.pt"]


def test_a_part_of_it_will_do_and_the_rest_is_left_alone(file):
    model = network(seed=1)
    load_checkpoint(file, {"model": model})
    assert torch.equal(model[0].weight, trained()["model"][0].weight)


def test_weights_are_stored_without_the_wrapper_of_several_processes(tmp_path, monkeypatch):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", Wrapper)
    save_checkpoint(tmp_path / "a.pt", {"model": Wrapper(network())})
    assert "0.weight" in read_checkpoint(tmp_path / "a.pt")["model"]
    wrapped = Wrapper(network(seed=1))
    load_checkpoint(tmp_path / "a.pt", {"model": wrapped})
    assert torch.equal(wrapped.module[0].weight, network()[0].weight)


@pytest.mark.parametrize("error", [OSError("disk"), RuntimeError("zip"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(file, monkeypatch, error):
    before = file.read_bytes()

    def write_half_and_fail(content, path):
        path.write_bytes(before[: len(before) // 2])
        raise error

    monkeypatch.setattr(checkpoint.torch, "save", write_half_and_fail)
    with pytest.raises(type(error)):
        save_checkpoint(file, trained(seed=1))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["last.pt"]


def test_the_whole_file_is_on_the_disk_before_it_gets_its_name(file, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def noted(*args, name=name, original=original):
            events.append(name)
            return original(*args)

        monkeypatch.setattr(os, name, noted)
    save_checkpoint(file, trained())
    assert events == ["fsync", "replace", "fsync"]


def test_a_reader_beside_a_writer_sees_whole_files_only(tmp_path):
    path, states = tmp_path / "last.pt", [{"model": network(seed=seed)} for seed in range(2)]
    save_checkpoint(path, states[0], {"turn": 0})
    writer = threading.Thread(target=lambda: [save_checkpoint(path, states[n % 2], {"turn": n}) for n in range(30)])
    writer.start()
    turns = []
    while writer.is_alive():
        content = read_checkpoint(path)
        turns.append(content["facts"]["turn"])
        assert torch.equal(content["model"]["0.weight"], states[turns[-1] % 2]["model"][0].weight)
    writer.join()
    assert turns == sorted(turns)


class Trap:
    """A pickle that does something when it is read."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MONAI_SEG_TRAP"],)


def truncated(path, whole):
    path.write_bytes(whole[: len(whole) // 2])


def empty(path, whole):
    path.write_bytes(b"")


def text(path, whole):
    path.write_text("git lfs pointer\n")


def plain_pickle_with_code(path, whole):
    path.write_bytes(pickle.dumps({"format": 1, "facts": {}, "model": Trap()}))


def torch_file_with_code(path, whole):
    torch.save({"format": 1, "facts": {}, "model": Trap()}, path)


def plain_state_dict(path, whole):
    torch.save(network().state_dict(), path)


def whole_network(path, whole):
    torch.save(network(), path)


def single_tensor(path, whole):
    torch.save(torch.ones(3), path)


def other_archive(path, whole):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "nothing")


def newer_format(path, whole):
    torch.save({"format": checkpoint.FORMAT + 1, "facts": {}}, path)


FOREIGN = {
    truncated: "cannot be read.*truncated, damaged",
    empty: "cannot be read\n  found  0 bytes",
    text: "cannot be read",
    plain_pickle_with_code: "cannot be read.*holds code, which is never run",
    torch_file_with_code: "cannot be read.*holds code, which is never run",
    whole_network: "cannot be read.*holds code, which is never run",
    plain_state_dict: "is no checkpoint of monai-seg: it has no format number",
    single_tensor: "is no checkpoint of monai-seg",
    other_archive: "cannot be read",
    newer_format: r"has checkpoint format 2, this version of monai-seg reads 1\n  mend   use the version",
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_damaged_and_foreign_files_are_named_with_a_remedy_and_never_executed(file, make, monkeypatch, tmp_path):
    monkeypatch.setenv("MONAI_SEG_TRAP", str(tmp_path / "sprung"))
    make(file, file.read_bytes())
    model = network(seed=1)
    with pytest.raises(CheckpointError, match=f"(?s){FOREIGN[make]}") as caught:
        load_checkpoint(file, {"model": model})
    assert str(file) in str(caught.value)
    assert not (tmp_path / "sprung").exists()
    assert torch.equal(model[0].weight, network(seed=1)[0].weight)


def test_the_trap_would_spring_if_code_were_run(file, monkeypatch, tmp_path):
    monkeypatch.setenv("MONAI_SEG_TRAP", str(tmp_path / "sprung"))
    torch_file_with_code(file, b"")
    torch.load(file, weights_only=False)
    assert (tmp_path / "sprung").exists()


@settings(deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999), noise=st.binary(max_size=64), where=st.floats(0, 1))
def test_any_cut_is_a_checkpoint_error(file, tmp_path, cut, noise, where):
    whole, path = file.read_bytes(), tmp_path / "cut.pt"
    kept = whole[: int(cut * len(whole))]
    place = int(where * len(kept))
    path.write_bytes(kept[:place] + noise + kept[place:])
    with pytest.raises(CheckpointError, match=r"cut\.pt"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(
    deadline=None, max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
@example(b"\x80\x02.")  # a pickle that takes from an empty stack
def test_any_other_content_is_a_checkpoint_error(tmp_path, content):
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        read_checkpoint(path)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*gone\.pt"):
        read_checkpoint(tmp_path / "gone.pt")


def test_another_network_is_told_by_its_shapes_and_the_configuration_named(file):
    with pytest.raises(
        CheckpointError, match=r"(?s)last\.pt does not fit this bundle's model.*size mismatch.*config.yaml"
    ):
        load_checkpoint(file, {"model": network(features=5)})


def test_best_pt_cannot_be_resumed(tmp_path):
    save_checkpoint(tmp_path / "best.pt", {"model": network()})
    with pytest.raises(CheckpointError, match=r"holds no optimizer\n  found  model\n  mend   give the last\.pt"):
        load_checkpoint(tmp_path / "best.pt", trained())


def test_another_optimizer_is_told(file):
    model = network()
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    with pytest.raises(CheckpointError, match="does not fit this bundle's optimizer"):
        load_checkpoint(file, {"optimizer": torch.optim.AdamW(groups)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_never_replace_finite_ones(tmp_path, value):
    file, state = tmp_path / "last.pt", trained()
    save_checkpoint(file, state)
    before = file.read_bytes()
    with torch.no_grad():
        state["model"][0].weight[1, 2] = value
    with pytest.raises(NonFiniteWeightsError, match=r"(?s)0\.weight.*max_gradient_norm"):
        save_checkpoint(file, state)
    assert file.read_bytes() == before


def test_an_average_of_weights_is_kept_like_everything_else(tmp_path):
    def averaged(seed):
        state = trained(seed)
        average = torch.optim.swa_utils.AveragedModel(
            state["model"], multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
        )
        average.update_parameters(network(seed=seed + 10))
        average.update_parameters(network(seed=seed + 20))
        return state | {"average": average}

    saved, other = averaged(0), averaged(1)
    save_checkpoint(tmp_path / "last.pt", saved)
    load_checkpoint(tmp_path / "last.pt", other)
    for name in ("model", "average"):
        for key, value in saved[name].state_dict().items():
            assert torch.equal(value, other[name].state_dict()[key]), (name, key)
    assert int(other["average"].n_averaged) == 2
