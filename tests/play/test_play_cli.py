"""``chainrule play`` as a user starts and ends it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Client, Frame, Served

from chainrule.cli.main import app
from chainrule.play.export import export
from chainrule.play.player import Player

QUICKLY = 5.0  # seconds, on a busy machine


def _command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chainrule", "play", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


@contextmanager
def _running(*words: str) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    process = _command("--no-browser", *words)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate(timeout=5)
        served = Served(int(address.rpartition(":")[2].strip("/")), None)
        yield process, served
    finally:
        process.kill()
        process.communicate()


def _end(process: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str, str]:
    start = time.monotonic()
    process.send_signal(how)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - start < QUICKLY
    return process.returncode, out, err


def test_starts_on_a_free_port_prints_its_address_and_ends_on_ctrl_c() -> None:
    with _running("--port", "0") as (process, served):
        with urllib.request.urlopen(served.url + "/static/ui.js") as answer:
            assert b"export function" in answer.read()
        assert _end(process, signal.SIGINT) == (0, "", "Ctrl-C ends it\n")


def test_ends_quickly_while_a_page_trains() -> None:
    with _running("--port", "0") as (process, served):
        client: Client = served.client()
        client.ask("play")
        assert isinstance(client.frame(), Frame)
        assert _end(process, signal.SIGINT) == (0, "", "Ctrl-C ends it\n")
        client.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM")
def test_ends_on_sigterm() -> None:
    with _running("--port", "0") as (process, _):
        code, out, err = _end(process, signal.SIGTERM)
        assert (code, out, err) == (-signal.SIGTERM, "", "Ctrl-C ends it\n")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = _command("--no-browser", "--port", str(port))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: this port can't be used\n  expected: a free port of this machine\n")
    assert "--port 0" in err


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app(["play", "--no-browser", *words], prog_name="chainrule")
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return run


def test_without_the_extra_it_says_what_to_install(
    play: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainrule.cli.play._NEEDED", ("starlette", "not_installed"))
    code, out, err = play()
    assert (code, out) == (2, "")
    assert "got: no not_installed" in err
    assert 'pip install "chainrule[play]"' in err


@pytest.mark.parametrize("words", [["--host", "0.0.0.0"], ["--port", "x"], ["--port", "-1"], ["--port", "65536"]])
def test_what_is_not_offered(play: Callable[..., tuple[int, str, str]], words: list[str]) -> None:
    assert play(*words)[:2] == (2, "")


def _saved(tmp_path: Path) -> Path:
    player = Player(native="never")
    player.answer({"do": "set", "settings": {"dataset": "xor", "hidden": [3]}})
    player.answer({"do": "step", "unit": "batch", "count": 5})
    while player.run(0.2):  # a busy machine takes some of them behind the answer
        pass
    file = tmp_path / "playground.json"
    file.write_text(export(player, {"do": "export", "what": "json"})["text"], encoding="utf-8")
    return file


def test_begins_with_a_saved_state(tmp_path: Path) -> None:
    process = _command("--no-browser", "--port", "0", "--state", str(_saved(tmp_path)))
    try:
        assert process.stdout is not None
        address, _, fragment = process.stdout.readline().strip().partition("#")
        served = Served(int(address.rpartition(":")[2].strip("/")), None)
        with served.client() as client:
            state = client.ask("load", url=fragment)["state"]
            assert (state["settings"]["dataset"], state["sizes"], state["step"]) == ("xor", [2, 3, 1], 5)
    finally:
        process.kill()
        process.communicate()


def test_exports_a_saved_state(play: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    code, out, err = play("--state", str(_saved(tmp_path)), "--export", str(file))
    assert (code, out, err) == (0, "", f"written: {file}\n")
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert '"dataset":"xor"' in page


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": "other"}', '{"a": NaN}', "\ud800"])
def test_a_file_that_is_no_state(play: Callable[..., tuple[int, str, str]], tmp_path: Path, content: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(content, encoding="utf-8", errors="surrogatepass")
    code, out, err = play("--state", str(file), "--export", str(tmp_path / "page.html"))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "what to do" in err
    assert not (tmp_path / "page.html").exists()


def test_what_can_not_be_read_or_written(play: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, err = play("--state", str(tmp_path / "none.json"))
    assert (code, err.splitlines()[0]) == (2, "error: the state can't be read")
    code, _, err = play("--export", str(tmp_path / "none" / "page.html"))
    assert (code, err.splitlines()[0]) == (2, "error: the page can't be written there")
    code, _, err = play("--export", str(tmp_path))
    assert (code, err.splitlines()[0]) == (2, "error: the page can't be written there")
