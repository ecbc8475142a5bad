"""The contestants: the same training step, as a user of each library would write it for speed.

Every file has a class with ``reset()`` (initial weights and state), ``step(i)`` (one call on batch ``i``, returns when
it is done), ``run(count)`` (``count`` steps from the first batch on, for the comparison) and ``result()`` (parameters
and moments, as named arrays).  Each contestant runs in a process of its own (``bench.worker``).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from typing import Any, NamedTuple, Protocol

from bench.problem import Problem
from bench.steps import Array, Row


class Contestant(Protocol):
    """One library's version of a step."""

    def reset(self) -> None: ...
    def step(self, i: int) -> object: ...
    def run(self, count: int) -> object: ...
    def result(self) -> dict[str, Array]: ...


class Peer(NamedTuple):
    """``name`` in tables; the class that takes part, its options, and the package it needs."""

    name: str
    place: str
    package: str
    options: dict[str, Any]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("ours", "bench.peers.ours:Ours", "llvmlite", {}),
        Peer("torch", "bench.peers.torch_peer:Torch", "torch", {}),
        Peer("torch fused", "bench.peers.torch_peer:Torch", "torch", {"fused": True}),
        Peer("torch.compile", "bench.peers.torch_peer:Torch", "torch", {"compiled": True}),
        Peer("jax", "bench.peers.jax_peer:Jax", "jax", {}),
        Peer("numpy", "bench.peers.numpy_peer:ByHand", "numpy", {}),
    )
}
"""``torch`` is as most people write it; ``torch fused`` has the optimizer in one kernel, an option of PyTorch's."""


def absent(name: str) -> str | None:
    """Why a peer can't take part, or None where it can."""
    peer = PEERS[name]
    if importlib.util.find_spec(peer.package) is None:
        return f"{name}: {peer.package} is not installed (pip install 'chainrule[bench]')"
    if peer.options.get("compiled") and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
        return f"{name}: it needs a C++ compiler, and there is none"
    return None


def make(name: str, row: Row, problem: Problem) -> Contestant:
    """The contestant called ``name``."""
    peer = PEERS[name]
    module, _, cls = peer.place.partition(":")
    made: Contestant = getattr(importlib.import_module(module), cls)(row, problem, **peer.options)
    return made
