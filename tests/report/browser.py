"""A headless Chromium that is told what to do through a pipe, by its own DevTools protocol; nothing else is needed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Page:
    """One tab.

    Args:
        read: File descriptor of what the browser says.
        write: File descriptor of what it is told.
    """

    def __init__(self, read: int, write: int) -> None:
        self._from, self._to, self._number = os.fdopen(read, "rb"), os.fdopen(write, "wb"), 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (found := self._next()).get("id") != self._number:
            self.events.append(found)
        assert "error" not in found, (method, found["error"])
        return found["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._from.read1(1 << 20)
            assert more, "the browser has gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, file: Path, width: int = 1200, height: int = 900, theme: str = "light", hash: str = "") -> float:
        """Show a file; the seconds until its first frame after it has loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.send("Page.navigate", url="about:blank")  # so that a page with another hash is loaded, too
        self.events.clear()
        began = time.monotonic()
        self.send("Page.navigate", url=file.as_uri() + hash)
        while self.run("document.readyState + location.protocol") != "completefile:":
            time.sleep(0.01)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        return time.monotonic() - began

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, times: int = 1, shift: bool = False) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS.get(key, 0), "modifiers": 8 * shift}
        for _ in range(times):
            self.send("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def troubles(self) -> list[Any]:
        """Errors and warnings, of the console or of the browser, and requests for anything but the file itself."""
        of = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
        said = [event["params"] for event in self.events if event.get("method") in of]
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return said + asked[1:] + [url for url in asked[:1] if not url.startswith("file:")]

    def picture(self, file: Path, whole: bool = False) -> None:
        """Save what is seen, or the whole page."""
        more: dict[str, Any] = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            more = {"captureBeyondViewport": True, "clip": {**size, "height": min(size["height"], 9000), "scale": 1}}
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png", **more)["data"]))


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own."""
    assert FOUND is not None
    ours, theirs = os.pipe(), os.pipe()  # from the browser, to the browser; while they are open, 3 and 4 are not free
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs[0], ours[1])]

    def numbered() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
    command = [FOUND, *flags, f"--user-data-dir={profile}", "--no-first-run", "--disable-background-networking"]
    with open(profile.with_suffix(".log"), "wb") as log:
        quiet: dict[str, Any] = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL}
        browser = subprocess.Popen(command, pass_fds=(3, 4), preexec_fn=numbered, **quiet)
    for fd in (*high, theirs[0], ours[1]):
        os.close(fd)
    try:
        yield Page(ours[0], theirs[1])
    finally:
        browser.kill()
        browser.wait()
