"""LLVM through llvmlite: check text, optimise it, turn it into object code, load object code.

The steps are apart so that object code can be kept on disk: ``compile_object`` gives bytes that depend on the text, the
target and the versions in :func:`fingerprint` alone, and ``load`` makes them callable in this process.  Every compile
has an LLVM context of its own, and a lock keeps LLVM to one thread at a time.

The pipeline is LLVM's own -O3 with loop and SLP vectorisation (Lattner & Adve, 2004), then one more round of
always-inlining: the vector forms of rare slow paths (see ``vectormath``) appear only when the vectoriser has run.
Does not do: profiles, link-time optimisation, unloading while a function of the library still runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator

import llvmlite
import llvmlite.binding as llvm

from chainrule.base.errors import ChainruleError, OptionError
from chainrule.compile.target import Target, host

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that another thread of its parent holds
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class CompileError(ChainruleError, RuntimeError):
    """LLVM refused the text that the compiler wrote; a defect of chainrule, not of the user's code."""


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _initialise_all() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def fingerprint(target: Target | None = None) -> str:
    """What object code depends on besides its text: versions of LLVM and llvmlite, and the target."""
    target = target or host()
    version = ".".join(map(str, llvm.llvm_version_info))
    machine = f"{target.name}; {target.triple}; {target.cpu}; {target.features}"
    return f"llvm {version}; llvmlite {llvmlite.__version__}; {machine}"


def _machine(target: Target, level: int, *, jit: bool) -> llvm.TargetMachine:
    _initialise()
    try:
        kind = llvm.Target.from_triple(target.triple)
    except RuntimeError:
        _initialise_all()
        kind = llvm.Target.from_triple(target.triple)
    return kind.create_target_machine(
        cpu=target.cpu, features=target.features, opt=level, reloc="pic" if jit else "default",
        codemodel="jitdefault" if jit else "default", jit=jit,
    )  # fmt: skip


@contextlib.contextmanager
def _parsed(text: str, target: Target) -> Iterator[llvm.ModuleRef]:
    """The verified module of ``text``, in a context of its own.

    Both are closed here, the module first: left to the garbage collector they may go the other way round, and crash.
    """
    context = llvm.create_context()
    try:
        try:
            module = llvm.parse_assembly(text, context)
        except RuntimeError as error:
            raise _refusal(text, error) from error
        try:
            module.triple = target.triple
            try:
                module.verify()
            except RuntimeError as error:
                raise _refusal(text, error) from error
            yield module
        finally:
            module.close()
    finally:
        context.close()


def _refusal(text: str, error: RuntimeError) -> CompileError:
    return CompileError(
        "LLVM does not accept the text written for it",
        expected="a well-formed module",
        got=str(error).strip().splitlines()[0],
        where="\n" + _excerpt(text, str(error)),
        fix="report this with the function that was compiled; jit(f, backend='numpy') runs it meanwhile",
    )


def _excerpt(text: str, message: str, around: int = 3) -> str:
    """The lines of ``text`` that LLVM's ``message`` is about, with their neighbours."""
    lines = text.splitlines()
    at = re.search(r":(\d+):\d+: error", message)
    if at:
        row = int(at.group(1)) - 1
    else:  # the verifier prints the instruction instead of its place
        shown = [line.strip() for line in message.splitlines() if line.startswith("  ")]
        row = next((i for i, line in enumerate(lines) for s in shown if s and s.split(", !")[0] in line), 0)
    first = max(0, row - around)
    return "\n".join(
        f"{'>' if i == row else ' '} {i + 1:5} | {lines[i]}" for i in range(first, min(len(lines), row + around + 1))
    )


@contextlib.contextmanager
def _optimised(text: str, target: Target, level: int) -> Iterator[tuple[llvm.ModuleRef, llvm.TargetMachine]]:
    if level not in (0, 1, 2, 3):
        raise OptionError("unknown optimisation level", expected="0, 1, 2 or 3", got=level, fix="leave level out")
    with _lock, _parsed(text, target) as module:
        machine = _machine(target, level, jit=True)
        module.data_layout = str(machine.target_data)
        if level > 0:
            options = llvm.create_pipeline_tuning_options(speed_level=level)
            options.loop_vectorization = options.slp_vectorization = True
            options.loop_interleaving = options.loop_unrolling = True
            builder = llvm.create_pass_builder(machine, options)
            builder.getModulePassManager().run(module, builder)
            late = llvm.create_new_module_pass_manager()
            late.add_always_inliner_pass()
            late.add_simplify_cfg_pass()
            late.add_instruction_combine_pass()
            late.run(module, builder)
        yield module, machine


def verify(text: str, target: Target | None = None) -> None:
    """Raise :class:`CompileError`, showing the offending lines, unless ``text`` is a well-formed LLVM module."""
    with _lock, _parsed(text, target or host()):
        pass


def optimise(text: str, target: Target | None = None, level: int = 3) -> str:
    """The LLVM text after all passes."""
    with _optimised(text, target or host(), level) as (module, _):
        return str(module)


def assembly(text: str, target: Target | None = None, level: int = 3) -> str:
    """The machine code of ``text`` as assembly; works for targets that this machine can't run."""
    with _optimised(text, target or host(), level) as (module, machine):
        return str(machine.emit_assembly(module))


def compile_object(text: str, target: Target | None = None, level: int = 3) -> bytes:
    """The object code of ``text``, sealed by a checksum.  The same text and :func:`fingerprint` give the same bytes."""
    with _optimised(text, target or host(), level) as (module, machine):
        code = bytes(machine.emit_object(module))
    return _SEAL + _digest(code) + code


_SEAL = b"chainrule object\n"


def _digest(code: bytes) -> bytes:
    return hashlib.blake2b(code, digest_size=32).digest()


def _unsealed(sealed: bytes) -> bytes:
    """The object code in what ``compile_object`` returned.  LLVM's loader trusts its input, so this does not."""
    start = len(_SEAL) + 32
    code = sealed[start:]
    if not sealed.startswith(_SEAL) or sealed[len(_SEAL) : start] != _digest(code):
        raise CompileError(
            "these bytes are not whole object code",
            expected="what compile_object returned",
            got=f"{len(sealed)} bytes with another checksum",
            fix="compile anew",
        )
    return code


class Library:
    """Object code loaded into this process.  Keep it alive for as long as any of its functions may run."""

    def __init__(self, sealed: bytes, target: Target | None = None) -> None:
        code = _unsealed(sealed)
        with _lock:
            machine = _machine(target or host(), 3, jit=True)
            # an empty module in the global context, which nothing disposes of: see _parsed
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where function ``name`` is.  Raises :class:`CompileError` where the library has none of that name."""
        with _lock:
            found = int(self._engine.get_function_address(name))
        if not found:
            raise CompileError("no such function in the library", expected="a defined function", got=name)
        return found

    def addresses(self, names: Iterable[str]) -> dict[str, int]:
        """Where the functions ``names`` are."""
        return {name: self.address(name) for name in names}


def load(code: bytes, target: Target | None = None) -> Library:
    """Make object code callable in this process.  Raises :class:`CompileError` where it is damaged or none."""
    return Library(code, target)
