"""What the scripts that take pictures of ``chainrule play`` share: a server of its own, and a browser at it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright


@contextlib.contextmanager
def rooms() -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a server that ends with the block."""
    command = [sys.executable, "-m", "chainrule.cli.main", "play", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as running:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            path = shutil.which("chromium") or shutil.which("google-chrome") or running.chromium.executable_path
            browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
            yield browser, url
            browser.close()
        finally:
            server.terminate()
