"""Servers in a thread of the test's process, asked over real HTTP, and models that answer as they are told."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.serving.app import App
from zoo.serving.limits import Limits
from zoo.serving.models import Model
from zoo.serving.server import run
from zoo.serving.signatures import DEFAULT, of_task


class Echo:
    """Says each text backwards; notes its batches, waits where it is told to, and fails at the word `fail`."""

    def __init__(self, seconds: float = 0.0):
        self.signatures = {DEFAULT: of_task("translation")}
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        texts = inputs["text"].tolist()
        self.batches.append(texts)
        assert self.go.wait(20)
        time.sleep(self.seconds)
        if "fail" in texts:
            raise RuntimeError(f"the secret text is {texts}")
        backwards = np.array([text[::-1] for text in texts], object)
        return {"text": backwards, "score": np.array([len(text) for text in texts], "float32")}

    def warm_up(self) -> None:
        pass


class Running:
    """`with Running(model) as server: server.ask({"instances": ["a"]})`."""

    def __init__(self, load: Model | Callable[[], Model], name: str = "echo", wait: bool = True, **limits):
        self._load = load if callable(load) else lambda: load
        self.name, self._wait, self._limits = name, wait, Limits(**limits)
        self._listening, self._ready = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def __enter__(self) -> Running:
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._listening.wait(10)
        if self._wait:
            assert self._ready.wait(600), self.error
        return self

    def __exit__(self, *error) -> None:
        self.leave()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def leave(self) -> None:
        """As a signal does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)

    def _main(self) -> None:
        async def main():
            self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
            self.app = App(self.name, 3, ("stable",), self._limits)

            def started(url: str) -> None:
                self.url = url
                self.port = int(url.split(":")[2].split("/")[0])
                self._listening.set()

            await run(
                self.app, self._load, "127.0.0.1", 0, self._leave, started, lambda url: self._ready.set()
            )

        try:
            asyncio.run(main())
        except BaseException as error:
            self.error = error
        finally:
            self._ready.set()

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, request: Any, path: str = "", verb: str = "predict") -> tuple[int, Any]:
        """A request, as JSON unless it is bytes -> status, JSON."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        status, answer = self.send("POST", f"/v1/models/{self.name}{path}:{verb}", body)
        return status, json.loads(answer)

    def get(self, path: str) -> tuple[int, Any]:
        status, answer = self.send("GET", path)
        return status, json.loads(answer)

    def figures(self) -> dict[str, float]:
        """The page of /metrics, read with Prometheus's own parser."""
        from prometheus_client.parser import text_string_to_metric_families

        status, page = self.send("GET", "/metrics")
        assert status == 200
        return {
            sample.name
            + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
        }
