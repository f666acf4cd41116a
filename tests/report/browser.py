"""A headless Chromium driven through chromedriver's WebDriver interface, with the standard library alone."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A window of 1280 × 1000 that reaches no network but, where asked, servers on this machine; use as a context manager."""

    def __init__(self, profile: Path, *, local: bool = False) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.driver = subprocess.Popen([DRIVER, f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000", f"--user-data-dir={profile}",
            f"--host-resolver-rules=MAP * ~NOTFOUND{' , EXCLUDE 127.0.0.1' if local else ''}", "--disable-background-networking", "--no-first-run",
        ]  # fmt: skip
        wanted = {"goog:chromeOptions": {"binary": CHROMIUM, "args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self._start(wanted)["sessionId"]

    def _start(self, wanted: dict) -> dict:
        for _ in range(300):
            try:
                return self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            except ConnectionError:
                time.sleep(0.1)
        raise TimeoutError("chromedriver did not answer within 30 s")

    def _call(self, method: str, path: str, body: dict | None = None):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "stacktrace" in value:
            raise RuntimeError(f"{path}: {value.get('message')}")
        return value

    def call(self, path: str, body: dict | None = None, method: str = "POST"):
        return self._call(method, f"/session/{self.session}{path}", body if method == "POST" else None)

    def open(self, page: Path) -> None:
        self.go(page.resolve().as_uri())

    def go(self, address: str) -> None:
        self.call("/url", {"url": address})

    def choose(self, selector: str, *files: Path) -> None:
        """Give files to an element that takes them."""
        element = self.call("/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call(f"/element/{element}/value", {"text": "\n".join(str(file) for file in files)})

    def type(self, selector: str, text: str) -> None:
        """Press the keys of a text in an element."""
        element = self.call("/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call(f"/element/{element}/value", {"text": text})

    def width(self, pixels: int) -> None:
        """Show the page as a screen of this width does: a window is never narrower than 500."""
        screen = {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.call("/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": screen})

    def whole(self, path: Path) -> Path:
        """A picture of the whole page, not of the window alone."""
        done = self.call("/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}})
        path.write_bytes(base64.b64decode(done["data"]))
        return path

    def run(self, script: str, *arguments):
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, seconds: float = 120.0):
        """The value of a JavaScript expression once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(f"return {condition};")
            if value:
                return value
            time.sleep(0.05)
        raise TimeoutError(f"not true within {seconds:g} s: {condition}")

    def click(self, selector: str) -> None:
        element = self.call("/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call(f"/element/{element}/click", {})

    def drag(self, selector: str, dx: int, dy: int) -> None:
        """Press the mouse in the middle of an element, move it and let go."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'});", selector)
        element = {ELEMENT: self.call("/element", {"using": "css selector", "value": selector})[ELEMENT]}
        moves = [
            {"type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 100, "origin": element, "x": dx, "y": dy},
            {"type": "pointerUp", "button": 0},
        ]
        self.call("/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}]})

    def complaints(self) -> list[str]:
        """Warnings and errors of the console since the last call."""
        return [entry["message"] for entry in self.call("/se/log", {"type": "browser"}) if entry["level"] in {"SEVERE", "WARNING"}]

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("/screenshot", method="GET")))
        return path

    def close(self) -> None:
        try:
            self._call("DELETE", f"/session/{self.session}")
        finally:
            self.driver.terminate()
            self.driver.wait(10)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
