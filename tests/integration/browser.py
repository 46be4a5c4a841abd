"""A headless Chromium, driven through chromedriver by the W3C's WebDriver protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow_server import free_port

ENTER, BACKSPACE = "\ue007", "\ue003"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,900", "--force-prefers-reduced-motion",
)  # fmt: skip


class Browser:
    """One window."""

    def __init__(self, driver, session):
        self._driver, self._session = driver, session

    def open(self, address):
        self._do("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        """What a piece of JavaScript returns."""
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, keys):
        """Press keys one after the other, wherever the focus is; no mouse."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent.trim()", selector)

    def until(self, script, seconds=20):
        """Wait until a condition in JavaScript holds."""
        deadline = time.monotonic() + seconds
        while not self.run(f"return Boolean({script})"):
            assert time.monotonic() < deadline, f"{script}; {self.text('body')}"
            time.sleep(0.03)

    def log(self):
        """What the console got: errors of scripts, and what the page's own rules forbade."""
        return self._do("POST", "/se/log", {"type": "browser"})

    def picture(self, path):
        Path(path).write_bytes(base64.b64decode(self._do("GET", "/screenshot")))

    def _do(self, method, path, body=None):
        return ask(f"{self._driver}/session/{self._session}{path}", method, body)


def ask(address, method, body=None):
    """Send one command; returns its value."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as fault:
        raise AssertionError(fault.read().decode()) from None


@contextmanager
def browsing(folder):
    """Open a window with an empty profile in a folder; skips where there is no Chromium."""
    program, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if not (program and browser):
        pytest.skip("chromium and chromedriver are not installed")
    port = free_port()
    driver = f"http://127.0.0.1:{port}"
    with (Path(folder) / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen([program, f"--port={port}"], stdout=log, stderr=log)
    session = None
    try:
        until_ready(driver)
        flags = [*FLAGS, f"--user-data-dir={Path(folder) / 'profile'}"]
        wanted = {"goog:chromeOptions": {"binary": browser, "args": flags},
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        session = ask(f"{driver}/session", "POST", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        yield Browser(driver, session)
    finally:
        if session:
            ask(f"{driver}/session/{session}", "DELETE")
        process.terminate()
        process.wait(20)


def until_ready(driver, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if ask(f"{driver}/status", "GET")["ready"]:
                return
        except OSError:
            assert time.monotonic() < deadline
        time.sleep(0.05)
