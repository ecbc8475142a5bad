"""The one description of the machine that code is made for: vector width, registers, fused multiply-add, caches.

Everything that knows an instruction set by name is in this file; the rest of the compiler reads fields.  Another target
is another ``Target``, not another compiler (NEON is one: its text is built and checked on any machine).

Does not do: measuring caches (the system's figures or defaults), big.LITTLE, scalable vectors.
"""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from chainrule.base.errors import OptionError, choose

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Caches:
    """Sizes in bytes of the data caches one core sees."""

    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20


@dataclass(frozen=True)
class FloatingPointMode:
    """LLVM text that makes this thread flush denormals, and that puts the mode found back.

    ``enter`` defines ``%cr.mode.saved``; ``leave`` needs it in scope.  LLVM does not order arithmetic against these, so
    a function that uses them calls the arithmetic in ``noinline`` functions in between.
    """

    enter: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """Text behind ``enter`` that makes denormals be kept until ``leave``: for calls back into Python."""


_X86_MODE = FloatingPointMode(
    enter=(
        "%cr.mode.slot = alloca i32",
        "call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)",
        "%cr.mode.saved = load i32, ptr %cr.mode.slot",
        "%cr.mode.flush = or i32 %cr.mode.saved, 32832",  # FTZ (bit 15) and DAZ (bit 6)
        "store i32 %cr.mode.flush, ptr %cr.mode.slot",
        "call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)",
    ),
    leave=(
        "store i32 %cr.mode.saved, ptr %cr.mode.slot",
        "call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)",
    ),
    keep=(
        "%cr.mode.keep = and i32 %cr.mode.saved, -32833",
        "store i32 %cr.mode.keep, ptr %cr.mode.slot",
        "call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)",
    ),
)
_ARM_MODE = FloatingPointMode(
    enter=(
        "%cr.mode.saved = call i64 @llvm.aarch64.get.fpcr()",
        "%cr.mode.flush = or i64 %cr.mode.saved, 16777216",  # FZ (bit 24)
        "call void @llvm.aarch64.set.fpcr(i64 %cr.mode.flush)",
    ),
    leave=("call void @llvm.aarch64.set.fpcr(i64 %cr.mode.saved)",),
    keep=(
        "%cr.mode.keep = and i64 %cr.mode.saved, -16777217",
        "call void @llvm.aarch64.set.fpcr(i64 %cr.mode.keep)",
    ),
)


@dataclass(frozen=True)
class Target:
    """What code generation needs to know of a machine.  ``name``: avx512, avx2, sse2, neon or generic."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bits: int
    vector_registers: int
    fma: bool
    masks: bool
    """Whether loads and stores of vectors can leave out some lanes at no cost."""
    cores: int = 1
    caches: Caches = Caches()
    mode: FloatingPointMode = FloatingPointMode()
    pause: tuple[str, ...] = ()
    """LLVM text of the hint that this thread spins."""
    clock: str = ""
    """The LLVM intrinsic of a counter that any program may read; nothing where there is none."""
    root: tuple[str, ...] = ()
    """LLVM text that finds ``%y``, 1/√x but for 2^-14 of it, for 16 float32 ``%x``; nothing where none is quick."""

    def lanes(self, dtype: str) -> int:
        """Numbers of ``dtype`` ("float32", "float64", …) in one vector."""
        sizes = {"float32": 32, "float64": 64, "int32": 32, "int64": 64}
        if dtype not in sizes:
            raise choose("dtype", dtype, sizes, where="Target.lanes")
        return self.vector_bits // sizes[dtype]

    @property
    def attributes(self) -> str:
        """Attributes that each function definition carries, so that LLVM uses the whole vector width."""
        return f'nounwind "prefer-vector-width"="{self.vector_bits}" "no-trapping-math"="true"'


_AVX512_ROOT = (
    "%y = call <16 x float> @llvm.x86.avx512.rsqrt14.ps.512(<16 x float> %x, <16 x float> zeroinitializer, i16 -1)",
)


def _x86(name: str, *, triple: str, cpu: str, features: str, cores: int, caches: Caches) -> Target:
    bits, registers, fma, masks = {
        "avx512": (512, 32, True, True),
        "avx2": (256, 16, True, False),
        "sse2": (128, 16, False, False),
    }[name]
    return Target(
        name, triple, cpu, features, bits, registers, fma, masks, cores, caches,
        mode=_X86_MODE, pause=("call void @llvm.x86.sse2.pause()",), clock="llvm.readcyclecounter",
        root=_AVX512_ROOT if name == "avx512" else (),
    )  # fmt: skip


def neon(cores: int = 1) -> Target:
    """AArch64 with NEON, as text: on another machine its assembly can be read but not run."""
    return Target(
        "neon", "aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", 128, 32, True, False, cores,
        Caches(64 << 10, 1 << 20, 8 << 20), mode=_ARM_MODE, pause=("call void @llvm.aarch64.hint(i32 1)",),
        clock="llvm.readsteadycounter",
    )  # fmt: skip


# what CHAINRULE_TARGET may say → (name here, cpu of LLVM, feature the host must have)
_FORCED = {
    "avx512": ("avx512", "x86-64-v4", "avx512f"),
    "avx2": ("avx2", "x86-64-v3", "avx2"),
    "generic": ("sse2", "x86-64", "sse2"),
}
_AVX512 = ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma")


NAMED = ("host", "avx512", "avx2", "generic", "neon")


def named(name: str) -> Target:
    """A target by name: ``host``, or one that is the same on every machine, to read the text made for it.

    Raises :class:`OptionError` for a name not in :data:`NAMED`.
    """
    if name not in NAMED:
        raise choose("target", name, NAMED)
    if name == "host":
        return host()
    if name == "neon":
        return neon()
    kind, cpu, _ = _FORCED[name]
    return _x86(kind, triple="x86_64-unknown-linux-gnu", cpu=cpu, features="", cores=1, caches=Caches())


def host() -> Target:
    """This machine; ``CHAINRULE_TARGET`` may force ``avx512``, ``avx2`` or ``generic``.

    Raises :class:`OptionError` where it names another target, or one this machine can't run.
    """
    return _host(os.environ.get("CHAINRULE_TARGET", ""))


@functools.cache
def _host(forced: str) -> Target:
    triple = llvm.get_process_triple()
    present = _host_features()
    cores, caches = _cores(), _caches()
    if forced and forced not in _FORCED:
        raise choose("CHAINRULE_TARGET", forced, _FORCED, where="the environment")
    if platform.machine().lower() in ("x86_64", "amd64"):
        if forced:
            name, cpu, needs = _FORCED[forced]
            if needs not in present:
                raise OptionError(
                    f"this machine can't run CHAINRULE_TARGET={forced}",
                    expected=f"a CPU with {needs}",
                    got=llvm.get_host_cpu_name(),
                    where="the environment",
                    fix="unset CHAINRULE_TARGET, or set it to generic",
                )
            return _x86(name, triple=triple, cpu=cpu, features="", cores=cores, caches=caches)
        name = "avx512" if present.issuperset(_AVX512) else "avx2" if present.issuperset(("avx2", "fma")) else "sse2"
        features = _features_text()
        return _x86(name, triple=triple, cpu=llvm.get_host_cpu_name(), features=features, cores=cores, caches=caches)
    if forced and forced != "generic":
        raise OptionError(
            f"this machine can't run CHAINRULE_TARGET={forced}",
            expected="an x86-64 CPU",
            got=platform.machine(),
            where="the environment",
            fix="unset CHAINRULE_TARGET",
        )
    if platform.machine().lower() in ("aarch64", "arm64"):
        plain = neon(cores)
        return Target(
            "neon", triple, "generic" if forced else llvm.get_host_cpu_name(), plain.features, 128, 32, True,
            plain.masks, cores, caches, plain.mode, plain.pause, plain.clock,
        )  # fmt: skip
    return Target("generic", triple, "", "", 128, 16, False, False, cores, caches)


def _host_features() -> frozenset[str]:
    """Names of the features the host has."""
    try:
        return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM can't tell on this system
        return frozenset()


def _features_text() -> str:
    """What the host has and what it lacks: a virtual machine may hide what its cpu's name implies."""
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:
        return ""


def _cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _caches(folder: Path = _CACHES) -> Caches:
    """The sizes Linux reports; defaults for what it does not."""
    found: dict[str, int] = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / part).read_text().strip() for part in ("level", "type", "size"))
            if kind in ("Data", "Unified") and size:
                unit = _UNITS.get(size[-1], 1)
                found[f"l{level}"] = int(size.rstrip("KMG")) * unit
        except (OSError, ValueError):
            continue
    return Caches(**{level: size for level, size in found.items() if level in ("l1", "l2", "l3") and size > 0})
