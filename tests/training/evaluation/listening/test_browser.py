"""A browser goes through the whole page, from a server and from the disk: keys, sounds, sliders,
the file in the end. Not part of `make test`: few machines that build have a browser."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.core.core_build import need
from tests.training.evaluation.listening.listening_helpers import HERE, case_of, sounds
from training.evaluation.listening.answers import read_answers, read_key
from training.evaluation.listening.compose import compose
from training.evaluation.listening.page import write_test

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio",
           "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0")
WAIT_SECONDS = 300  # by far more than it takes on a machine that has little time for it


class Server(ThreadingHTTPServer):
    """Serves a folder; what is posted comes to `reports`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))


class Handler(SimpleHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Of a page with two sounds, and a driver in it."""
    data = sounds(tmp_path / "data", monkeypatch)
    write_test(compose(case_of(0.5, data, limit=2), []), tmp_path / "page")
    index = tmp_path / "page" / "index.html"
    text = index.read_text("utf-8")
    last = '<script src="page.js"></script>'
    assert last in text
    index.write_text(text.replace(last, f'{last}<script src="driver.js"></script>'), "utf-8")
    with Server(tmp_path / "page") as running:
        driver = (HERE / "page_driver.js").read_text("utf-8")
        (tmp_path / "page" / "driver.js").write_text(driver.replace(
            "REPORT", f"http://127.0.0.1:{running.server_port}/report"), "utf-8")
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http", "file"])
def test_a_listener_goes_through_the_page(server: Server, tmp_path: Path, place: str) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None) or need(BROWSERS[0])
    address = {"http": f"http://127.0.0.1:{server.server_port}/index.html?seed=7",
               "file": (tmp_path / "page/index.html").as_uri() + "?seed=7"}[place]
    with subprocess.Popen([browser, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", address],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            seen = server.reports.get(timeout=WAIT_SECONDS)
        finally:
            running.kill()
    assert "error" not in seen, seen["error"]
    assert seen["count"] == "2"
    assert seen["titles"] == ["Practice", "Sound 1 of 2", "Sound 2 of 2"]
    assert seen["refused"] == ["Not heard yet: A, B, C, D, E."] * 3
    assert seen["reminders"] == [""] * 3  # gone once all is done
    assert seen["toggled"] == ["Stop", "Play"]
    assert seen["reference"] == "true"
    assert seen["words"] == ["0 bad", "10 bad", "20 poor", "30 poor", "40 fair"]
    assert seen["file"] == "listening-Driver-7.json"
    assert seen["saved"] is True
    answer = seen["answer"]
    for trial in answer["trials"]:
        assert [trial["ratings"][name] for name in trial["order"]] == [0, 10, 20, 30, 40]
        assert all(1 <= plays <= 3 for plays in trial["plays"].values())
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    found, said = read_answers([tmp_path / "answer.json"], read_key(tmp_path / "page.key.json"))
    assert said == []
    assert (found[0].listener, found[0].seed) == ("Driver", 7)
