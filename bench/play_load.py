"""Many playgrounds at once: how long controls take to answer, what memory it costs, what each page gets.

    python -m bench.play_load [--pages 50] [--seconds 20]

``chainrule play`` runs as a process of its own.  So many pages connect, train, take frames as a browser would
(acknowledging each), and each presses a control once a second: one of those that a person presses.  The time is from
sending to the answer, at the page.  Then all pages but one close, and the server's work must fall.
Clients and server share the machine, as browser and server do.  Memory and CPU time are read from /proc (Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FRAME = re.compile(rb'"frame":\s*(\d+)')
_STEP = re.compile(rb'"step":\s*(\d+)')
CONTROLS: list[dict[str, Any]] = [
    {"do": "set", "settings": {"learning_rate": 0.1}},
    {"do": "set", "settings": {"learning_rate": 0.03}},
    {"do": "pause"},
    {"do": "play"},
    {"do": "step", "unit": "batch"},
    {"do": "play"},
    {"do": "inspect", "at": [1.0, -2.0]},
    {"do": "view", "hover": [0, 1]},
    {"do": "explain", "what": "weight", "layer": 0, "to": 0, "from": 0},
    {"do": "play"},
]


@dataclass
class Seen:
    """What the pages saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    frames: int = 0
    steps: dict[int, int] = field(default_factory=dict)
    errors: list[Any] = field(default_factory=list)

    @property
    def all_seconds(self) -> list[float]:
        """Every control's time."""
        return [one for many in self.seconds.values() for one in many]


class _Page:
    """One page's end of the WebSocket."""

    def __init__(self, port: int, number: int, seen: Seen) -> None:
        self._port, self._number, self._seen = port, number, seen
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self.counting = False

    async def open(self) -> None:
        """Connect and greet."""
        from websockets.asyncio.client import connect

        address = f"127.0.0.1:{self._port}"
        self._connection = connect(f"ws://{address}/ws", origin=f"http://{address}", compression=None, max_size=None)
        self._socket = await self._connection.__aenter__()
        self._reading = asyncio.create_task(self._read())
        await self.ask({"do": "hello"})

    async def close(self) -> None:
        """As when the tab is closed."""
        await self._connection.__aexit__(None, None, None)
        await self._reading

    async def ask(self, message: dict[str, Any]) -> Any:
        """The answer to a message."""
        self._count += 1
        number = self._count
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, **message}))
        return await future

    async def press(self, until: float, rng: random.Random) -> None:
        """Press a control once a second."""
        await asyncio.sleep(rng.random())
        while time.monotonic() < until:
            control = rng.choice(CONTROLS)
            start = time.monotonic()
            answer = await self.ask(control)
            self._seen.seconds.setdefault(control["do"], []).append(time.monotonic() - start)
            if "error" in answer:
                self._seen.errors.append(answer["error"])
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - start)))

    async def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for data in self._socket:
                if isinstance(data, bytes):
                    head = data[:400]
                    number, step = _FRAME.search(head), _STEP.search(head)
                    assert number is not None
                    await self._socket.send(b'{"ack":%s}' % number[1], text=True)
                    if self.counting:
                        self._seen.frames += 1
                    if step is not None:
                        self._seen.steps[self._number] = int(step[1])
                else:
                    found = json.loads(data)
                    if "id" in found:
                        self._asked.pop(found["id"]).set_result(found)


@contextlib.contextmanager
def _server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "chainrule", "play", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().strip().strip("/").rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def _memory(process: int) -> float:
    """Resident megabytes."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu(process: int) -> float:
    """Seconds of CPU so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(process: int, port: int, pages: int, seconds: float) -> dict[str, Any]:
    seen, rng = Seen(), random.Random(0)
    first = _memory(process)
    everyone = [_Page(port, i, seen) for i in range(pages)]
    start = time.monotonic()
    await asyncio.gather(*(page.open() for page in everyone))
    opened = time.monotonic() - start
    await asyncio.gather(*(page.ask({"do": "play"}) for page in everyone))
    await asyncio.sleep(3)  # until the network is compiled, once for all
    early, before, steps, began = _memory(process), _cpu(process), dict(seen.steps), time.monotonic()
    for page in everyone:
        page.counting = True
    until = time.monotonic() + seconds
    await asyncio.gather(*(page.press(until, random.Random(rng.random())) for page in everyone))
    took = time.monotonic() - began
    busy, late = (_cpu(process) - before) / took, _memory(process)
    last = everyone.pop()
    await last.ask({"do": "pause"})
    for page in everyone:
        await page.close()
    await asyncio.sleep(1)
    before, began = _cpu(process), time.monotonic()
    await asyncio.sleep(1)
    idle = (_cpu(process) - before) / (time.monotonic() - began)
    await last.close()
    times = sorted(seen.all_seconds)
    return {
        "pages": pages, "seconds": took, "open_s": opened, "answers": len(times), "errors": len(seen.errors),
        "p50_s": statistics.median(times), "p95_s": times[int(0.95 * len(times))], "longest_s": times[-1],
        "by_control": {do: statistics.quantiles(v, n=20)[-1] for do, v in seen.seconds.items() if len(v) > 1},
        "frames_per_second_and_page": seen.frames / took / pages,
        "steps_per_second": sum(max(0, seen.steps[i] - steps.get(i, 0)) for i in seen.steps) / took,
        "memory_mb": {"first": first, "early": early, "late": late, "a_page": (late - first) / pages},
        "cores": busy, "cores_after_closing": idle,
    }  # fmt: skip


def measure(pages: int = 50, seconds: float = 20.0) -> dict[str, Any]:
    """Run the load; see the module."""
    with _server() as (process, port):
        return asyncio.run(_load(process.pid, port, pages, seconds))


def main(arguments: list[str] | None = None) -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.play_load", description=__doc__)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    found = measure(options.pages, options.seconds)
    memory, ms = found["memory_mb"], {name: 1e3 * found[f"{name}_s"] for name in ("p50", "p95", "longest")}
    controls = ", ".join(f"{do} {1e3 * s:.0f} ms" for do, s in found["by_control"].items())
    print(
        f"{found['pages']} pages train for {found['seconds']:.0f} s on {os.cpu_count()} cores; "
        f"all were open after {found['open_s']:.2f} s\n"
        f"answers  {found['answers']:,}: median {ms['p50']:.0f} ms, 95 % below {ms['p95']:.0f} ms, "
        f"longest {ms['longest']:.0f} ms; {found['errors']} errors\n"
        f"95 % of  {controls}\n"
        f"a page   {found['frames_per_second_and_page']:.1f} frames/s; "
        f"all together {found['steps_per_second']:,.0f} steps/s\n"
        f"memory   {memory['first']:.0f} MB empty, {memory['early']:.0f} MB at the start, "
        f"{memory['late']:.0f} MB at the end: {memory['a_page']:.1f} MB a page\n"
        f"cores    {found['cores']:.2f} busy; {found['cores_after_closing']:.2f} after all pages but one closed"
    )


if __name__ == "__main__":
    main()
