from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainrule.base.errors import DataError
from chainrule.data import download, download_mnist, mnist

NAMES = tuple(download.FILES)


@pytest.fixture
def server(tmp_path: Path, mnist_like, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path, list[str]]]:
    """(address, folder it serves, paths asked for) of a mirror of a small set in the format of MNIST."""
    root = tmp_path / "served"
    root.mkdir()
    mnist_like(root)
    files = {}
    for name in NAMES:
        content = gzip.compress((root / name).read_bytes(), mtime=0)
        (root / f"{name}.gz").write_bytes(content)
        files[name] = (len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(download, "FILES", files)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, directory=str(root), **kwargs)

        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Says nothing when a client stops reading, as it should."""

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", root, asked
        running.shutdown()
        thread.join()


def test_download_and_use(server, tmp_path: Path) -> None:
    address, root, asked = server
    seen: list[tuple[str, int, int]] = []
    target = download_mnist(tmp_path / "new" / "folder", mirrors=[address], progress=lambda *a: seen.append(a))
    assert sorted(p.name for p in target.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert {name for name, done, size in seen if done == size} == {f"{name}.gz" for name in NAMES}
    assert len(mnist(target, validation=0).train) == 50
    count = len(asked)
    download_mnist(target, mirrors=[address])
    assert len(asked) == count, "what is there is not fetched again"
    (target / f"{NAMES[0]}.gz").write_bytes(b"half")
    download_mnist(target, mirrors=[address])
    assert len(asked) == count + 1, "what is damaged is"
    assert (target / f"{NAMES[0]}.gz").read_bytes() == (root / f"{NAMES[0]}.gz").read_bytes()


def test_the_next_mirror_is_tried(server, tmp_path: Path) -> None:
    address = server[0]
    download_mnist(tmp_path / "d", mirrors=[f"{address}nothing/here/", "http://127.0.0.1:1/", address])
    assert len(list((tmp_path / "d").iterdir())) == 4


def test_wrong_checksum_leaves_nothing(server, tmp_path: Path) -> None:
    address, root, _ = server
    (root / f"{NAMES[0]}.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"another checksum than MNIST's \(14 bytes\)"):
        download_mnist(tmp_path / "d", mirrors=[address])
    assert list((tmp_path / "d").iterdir()) == []


def test_a_mirror_that_sends_too_much_is_cut(server, tmp_path: Path) -> None:
    address, root, _ = server
    size = download.FILES[NAMES[0]][0]
    (root / f"{NAMES[0]}.gz").write_bytes(b"0" * (1 << 22))
    with pytest.raises(DataError, match=rf"\({size + 1:,} bytes\)"):
        download_mnist(tmp_path / "d", mirrors=[address])


def test_offline(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        download_mnist(tmp_path / "d", mirrors=["http://127.0.0.1:1/", "nonsense"])
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz can't be downloaded" in message
    assert "http://127.0.0.1:1/train-images-idx3-ubyte.gz:" in message
    assert "unknown url type" in message
    assert "check the connection; or put the four files into the folder by hand" in message


def test_mnist_downloads_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    monkeypatch.setattr("chainrule.data.images.download_mnist", lambda root, progress: calls.append(root))
    with pytest.raises(DataError, match="lacks files of MNIST"):
        mnist(tmp_path / "d")
    assert calls == []
    with pytest.raises(DataError, match="lacks files of MNIST"):
        mnist(tmp_path / "d", download=True)
    assert calls == [tmp_path / "d"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    with pytest.raises(DataError, match="the folder for the download can't be written"):
        download_mnist(tmp_path / "d", mirrors=[])


def test_the_checksums_are_those_of_the_published_files(shared_data) -> None:
    root = shared_data("mnist")
    for name, (size, digest) in download.FILES.items():
        content = (root / f"{name}.gz").read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
