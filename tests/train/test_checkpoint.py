"""Checkpoints: what is saved comes back; what is damaged or does not fit is refused in words."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule import nn
from chainrule.base import trees
from chainrule.base.errors import CheckpointError
from chainrule.train import CheckpointFolder, CheckpointWarning, load_checkpoint, save_checkpoint
from chainrule.train.checkpoint import content_hash, fingerprint


def network(*sizes: int, seed: int = 0) -> nn.MLP:
    return nn.MLP.init(sizes, rng=np.random.default_rng(seed))


def same(a: Any, b: Any) -> bool:
    pairs = zip(trees.leaves(a), trees.leaves(b), strict=True)
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)


def test_trees_come_back_with_every_bit(tmp_path: Path) -> None:
    model = network(3, 5, 2)
    state = {
        "count": np.array(7),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
        "odd": np.array([np.nan, -0.0, np.inf, 5e-324]),
        "view": np.arange(12.0).reshape(3, 4).T[::2],
        "nothing": None,
        "words": np.array([1, 2**32 - 1], np.uint32),
    }
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"model": model, "state": state}, {"epoch": 3, "x": 0.1, "text": "é"})
    loaded = load_checkpoint(path)
    assert loaded.info == {"epoch": 3, "x": 0.1, "text": "é"}
    blank = trees.map(np.zeros_like, model)
    assert same(loaded.tree("model", blank), model)
    assert isinstance(loaded.tree("model", blank), nn.MLP)
    again = loaded.tree("state", state)
    assert again["nothing"] is None
    assert again["count"].shape == ()
    assert same(again, state)


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    """The library orders metadata by a hash that is seeded anew for each call, so one in two of its files differs."""
    files = [tmp_path / f"{i}.safetensors" for i in range(12)]
    for file in files:
        save_checkpoint(file, {"model": network(3, 5, 2)}, {"sizes": [3, 5, 2], "name": "größe"})
    assert len({file.read_bytes() for file in files}) == 1
    assert load_checkpoint(files[0]).info == {"sizes": [3, 5, 2], "name": "größe"}
    assert (8 + int.from_bytes(files[0].read_bytes()[:8], "little")) % 8 == 0


def test_a_bare_array_and_python_numbers_are_trees(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": np.arange(3.0), "n": {"steps": 3, "rate": 0.1}}, {})
    loaded = load_checkpoint(path)
    assert loaded.tree("w", np.zeros(3)).tolist() == [0.0, 1.0, 2.0]
    assert loaded.tree("n", {"steps": 0, "rate": 0.0}) == {"steps": 3, "rate": 0.1}


def test_any_safetensors_reader_can_read_it(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = network(3, 2)
    save_checkpoint(tmp_path / "a.safetensors", {"model": model}, {})
    arrays = load_file(tmp_path / "a.safetensors")
    assert arrays["model/layers[0].weight"].tolist() == model.layers[0].weight.tolist()


def test_a_flip_of_any_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": np.arange(4.0)}, {"epoch": 1})
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for index in range(len(whole)):
        # Spaces that pad the header carry nothing.
        if whole[index : index + 1] == b" " and 8 + header - 8 <= index < 8 + header:
            continue
        broken = bytearray(whole)
        broken[index] ^= 0x10
        path.write_bytes(bytes(broken))
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert load_checkpoint(path).info == {"epoch": 1}


def test_a_file_cut_off_anywhere_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": np.arange(4.0)}, {})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="the checkpoint is damaged") as caught:
            load_checkpoint(path)
    assert caught.value.where == path
    assert "use another checkpoint" in str(caught.value)


def test_content_changed_under_a_valid_header_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": np.arange(4.0)}, {"epoch": 12})
    path.write_bytes(path.read_bytes().replace(b'\\"epoch\\": 12', b'\\"epoch\\": 13'))
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_checkpoint(path)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.arange(3.0)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="the header is cut off"):
        load_checkpoint(tmp_path / "b.safetensors")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "none.safetensors")
    assert "there is no such checkpoint" in str(caught.value)
    assert "none.safetensors" in str(caught.value)
    with pytest.raises(CheckpointError, match="can't be read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (network(3, 6, 2), "layers[0].weight differs\n  expected: float32 (3, 6) in the model\n  got: float32 (3, 5)"),
        (network(3, 5, 2, 2), "layers[2].weight differs\n  expected: float32 (2, 2) in the model\n  got: no such"),
        (network(3, 5), "layers[1].bias differs\n  expected: no such array in the model\n  got: float32 (2,)"),
        (trees.map(lambda a: a.astype(np.float64), network(3, 5, 2)), "expected: float64 (3, 5) in the model"),
    ],
)
def test_another_architecture_names_the_first_difference(tmp_path: Path, other: nn.MLP, text: str) -> None:
    save_checkpoint(tmp_path / "a.safetensors", {"model": network(3, 5, 2)}, {})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "a.safetensors").tree("model", other)
    assert "the checkpoint is of another architecture" in str(caught.value)
    assert text in str(caught.value)


def test_a_group_that_is_not_there(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", {"model": network(3, 2)}, {})
    with pytest.raises(CheckpointError, match="has no 'optimizer'"):
        load_checkpoint(tmp_path / "a.safetensors").tree("optimizer", np.zeros(3))


@pytest.mark.parametrize("leaf", ["text", np.array([object()]), np.zeros(2, np.complex128), np.array(["a"])])
def test_leaves_that_are_no_numbers_are_refused(tmp_path: Path, leaf: Any) -> None:
    with pytest.raises(CheckpointError, match="a leaf that can't be saved") as caught:
        save_checkpoint(tmp_path / "a.safetensors", {"model": {"bad": leaf}}, {})
    assert "model/['bad']" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_another_revision_is_said(tmp_path: Path) -> None:
    from safetensors.numpy import save

    from chainrule.train.checkpoint import _hash

    text = json.dumps({"format": "chainrule-checkpoint", "revision": 99, "groups": {}, "info": {}})
    (tmp_path / "a.safetensors").write_bytes(save({}, {"chainrule": text, "sha256": _hash(text, {})}))
    with pytest.raises(CheckpointError, match="another revision"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_fingerprints() -> None:
    assert fingerprint(network(3, 5, 2)) == fingerprint(network(3, 5, 2, seed=1))
    assert fingerprint(network(3, 5, 2)) != fingerprint(network(3, 4, 2))
    assert content_hash(network(3, 5, 2)) != content_hash(network(3, 5, 2, seed=1))
    assert content_hash(network(3, 5, 2)) == content_hash(network(3, 5, 2))


def test_a_folder_keeps_the_newest_two(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "c")
    assert folder.latest() is None
    for step in (1, 20, 1_000_000_000):
        folder.save(step, {"w": np.full(2, float(step))}, {"step": step})
    assert [path.name for path in folder.files()] == ["step-000000020.safetensors", "step-1000000000.safetensors"]
    newest = folder.latest()
    assert newest is not None
    assert newest.info == {"step": 1_000_000_000}


def test_a_damaged_newest_falls_back_and_says_so(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2):
        folder.save(step, {"w": np.zeros(2)}, {"step": step})
    newest = folder.files()[-1]
    newest.write_bytes(newest.read_bytes()[:-3])
    with pytest.warns(CheckpointWarning, match=r"step-000000002.*damaged; resuming from step-000000001"):
        found = folder.latest()
    assert found is not None
    assert found.info == {"step": 1}
    # What is saved next is kept, though a damaged file of a later step stands beside it.
    folder.save(1, {"w": np.ones(2)}, {"step": 1})
    assert [path.name for path in folder.files()] == ["step-000000001.safetensors"]


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(1, {"w": np.zeros(2)}, {})
    folder.files()[0].write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        folder.latest()


def test_nothing_loaded_is_run(tmp_path: Path) -> None:
    """A pickle in place of a checkpoint stays bytes."""
    import pickle

    @dataclasses.dataclass
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "a.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "a.safetensors")
    assert not (tmp_path / "sprung").exists()
