"""A real Chromium, driven over the DevTools protocol: enough to read and press a page."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")
WAIT_S = 20
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)

Json = dict[str, Any]


@asynccontextmanager
async def started(profile: Path) -> AsyncIterator["Chromium"]:
    """One browser with an empty profile, ended with the block."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = profile / "DevToolsActivePort"
        async with asyncio.timeout(WAIT_S):
            while not (said.exists() and len(lines := said.read_text().splitlines()) == 2):
                await asyncio.sleep(0.05)
        async with connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None) as socket:
            browser = Chromium(socket)
            reader = asyncio.create_task(browser.read())
            try:
                yield browser
            finally:
                with suppress(Exception):
                    await browser.call("Browser.close")
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait(10)


class Chromium:
    """One connection to the browser; pages are sessions on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._pages: dict[str, Page] = {}

    async def read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                if not (future := self._answers.pop(message["id"])).done():
                    future.set_result(message)
            elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                page.heard(message["method"], message["params"])

    async def call(self, method: str, session: str | None = None, **params: Any) -> Json:
        id_ = next(self._ids)
        self._answers[id_] = asyncio.get_running_loop().create_future()
        message = {"id": id_, "method": method, "params": params}
        await self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(WAIT_S):
            answer = await self._answers[id_]
        assert "error" not in answer, (method, answer["error"])
        result: Json = answer["result"]
        return result

    async def page(self) -> "Page":
        """A new tab that shares nothing with the others."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"])
        self._pages[attached["sessionId"]] = page
        for domain in ("Page", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        return page


class Page:
    """One tab. `complaints` are what its console, its policy and its scripts had to say."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self._bindings: dict[str, Callable[[str], Awaitable[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> Json:
        return await self._browser.call(method, self._session, **params)

    def heard(self, method: str, params: Json) -> None:
        if method == "Runtime.bindingCalled":
            task = asyncio.create_task(self._answer(params))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    async def _answer(self, params: Json) -> None:
        await self._bindings[params["name"]](params["payload"])

    async def bind(self, name: str, answer: Callable[[str], Awaitable[None]]) -> None:
        """Let the page call `name(text)`, and the test hear it."""
        self._bindings[name] = answer
        await self.call("Runtime.addBinding", name=name)

    async def before_load(self, script: str) -> None:
        """Run this in every document before its own scripts, as an extension does."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState")

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, wanted: Any = "complete") -> None:
        """Wait for the expression to be `wanted`; the page may be loading meanwhile."""
        seen: Any = None
        try:
            async with asyncio.timeout(WAIT_S):
                while seen != wanted:
                    with suppress(AssertionError):
                        seen = await self.evaluate(expression)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{expression} is {seen!r}, not {wanted!r}") from None

    async def press(self, key: str, code: int) -> None:
        """A key of the keyboard, with its Windows key code."""
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, text=text if kind == "keyDown" else "",
                windowsVirtualKeyCode=code,
            )  # fmt: skip

    async def screenshot(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
