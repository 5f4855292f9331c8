"""The server's URLs: TensorFlow Serving's under /v1, and /healthz, /readyz and /metrics beside them."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import numpy as np
from aiohttp import web

from zoo.errors import UserError
from zoo.serving import contract
from zoo.serving.batching import Batcher, Full, Job, ModelError
from zoo.serving.contract import Refusal
from zoo.serving.limits import Limits
from zoo.serving.metrics import CONTENT_TYPE, Metrics
from zoo.serving.models import Model
from zoo.serving.unpack import unpacked

log = logging.getLogger("zoo.serving")

# TensorFlow Serving's own expressions, and what it refuses besides: an unknown verb is a malformed request there.
ASKED = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
TOLD = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata)?", re.IGNORECASE)

OPEN = 1000
"""Requests at once, whose bodies are held in memory."""
GRACE = 0.1
"""Seconds in which an open connection may still send the request that it was opened for, at the end."""


class App:
    """One model behind its URLs.

    Args:
        name: the model's, in the URLs.
        version: the number it answers to.
        labels: names that stand for this version.
        limits: what is taken on.
    """

    def __init__(self, name: str, version: int, labels: tuple[str, ...], limits: Limits):
        self.name, self.limits, self._version, self._labels = name, limits, version, labels
        self._model: Model | None = None
        self._stopping, self._open = False, 0
        self.metrics = Metrics(lambda: self._batcher.waiting, lambda: self.ready)
        self._batcher = Batcher(limits, self._observe)
        self.web = web.Application(client_max_size=limits.max_body)
        self.web.router.add_route("*", r"/{path:[\s\S]*}", self._handle)

    @property
    def ready(self) -> bool:
        return self._model is not None and self._batcher.alive and not self._stopping

    def start(self, load: Callable[[], Model]) -> asyncio.Future:
        """Loads the model beside the answering of probes; the future ends when it answers, or with the error."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def take(found: Model | Exception):
            if isinstance(found, Exception):
                _settle(future, found)
            else:
                self._model = found
                _settle(future, None)

        self._batcher.start(load, lambda found: _call(loop, take, found))
        return future

    async def finish(self) -> None:
        """Is not ready from here on, and waits until what was taken is answered."""
        self._stopping = True
        # A connection of this moment has its request on the way: aiohttp would close it unread.
        await asyncio.sleep(GRACE)
        end = time.monotonic() + self.limits.timeout_s
        while self._open and time.monotonic() < end:
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Ends the model's thread."""
        self._batcher.stop(self.limits.timeout_s)

    async def _handle(self, request: web.Request) -> web.Response:
        self._open += 1
        try:
            response = await self._respond(request)
            if self._stopping:
                response.force_close()
            return response
        finally:
            self._open -= 1

    async def _respond(self, request: web.Request) -> web.Response:
        start, path = time.perf_counter(), request.rel_url.raw_path
        verb = "other"
        try:
            if path in PROBES:
                verb = path[1:]
                if request.method not in ("GET", "HEAD"):
                    raise Refusal(405, f"{path} is asked with GET")
                response = PROBES[path](self)
            elif request.method == "POST" and (match := ASKED.fullmatch(path)):
                *place, verb = match.groups()
                response = _json(await self._ask(request, place, verb.lower()))
            elif request.method in ("GET", "HEAD") and (match := TOLD.fullmatch(path)):
                *place, metadata = match.groups()
                verb = "metadata" if metadata else "status"
                response = _json(self._tell(place, bool(metadata)))
            elif path.lower().startswith("/v1/"):
                raise Refusal(400, f"Malformed request: {request.method} {contract.short(path)}")
            else:
                raise Refusal(404, "Not Found; try /v1/models/" + self.name)
        except Refusal as refusal:
            response = _json(contract.write_error(refusal.reason), refusal.status)
        except Exception as error:  # ours: no text and no traceback leaves
            log.error("a fault of the server: %s in %s", type(error).__name__, _place(error))
            response = _json(contract.write_error("the server failed; its log says where"), 500)
        if response.status == 503:
            response.headers["Retry-After"] = "1"
        verb = verb.lower()
        self.metrics.requests.labels(verb, str(response.status)).inc()
        if verb == "predict":
            self.metrics.seconds.observe(time.perf_counter() - start)
        return response

    async def _ask(self, request: web.Request, place: list, verb: str) -> bytes:
        self._check(place)
        body = await self._body(request)
        if self._model is None:
            raise Refusal(503, f"the model {self.name} is still loading; /readyz says when it answers")
        asked = contract.parse(body)
        if verb != "predict":
            contract.refuse_verb(verb, asked, self._model.signatures)
        name = contract.signature_name(asked)
        signature = contract.find(self._model.signatures, name)
        inputs, layout = contract.read_predict(asked, signature, self.limits)
        outputs = await self._answer(name, inputs)
        return contract.write_predict(outputs, layout)

    async def _body(self, request: web.Request) -> bytes:
        """What was sent; whoever sends too much or too slowly is not listened to."""
        if self._open > OPEN:
            raise Refusal(503, "too many requests at once; try again")
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, f"the body is larger than {self.limits.max_body} bytes") from None
        except TimeoutError:
            raise Refusal(408, f"the body had not come after {self.limits.timeout_s:g} s") from None
        except (web.RequestPayloadError, ConnectionError):
            raise Refusal(400, "the body ended too early") from None
        return unpacked(body, request.headers.get("Content-Encoding", ""), self.limits.max_body)

    async def _answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        rows = max((len(value) for value in inputs.values() if value.ndim), default=0)
        job = Job(signature, inputs, rows, lambda found: _call(loop, _settle, future, found))
        try:
            self._batcher.submit(job)
        except Full:
            said = "the server is going down" if self._stopping else "too many texts wait for the model"
            raise Refusal(503, f"{said}; try again") from None
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                return await future
        except TimeoutError:
            raise Refusal(504, f"no answer within {self.limits.timeout_s:g} s") from None
        except UserError as error:
            raise Refusal(400, str(error)) from None
        except ModelError:
            raise Refusal(500, "the model failed on this request; the server's log says where") from None
        finally:
            self._batcher.withdraw(job)

    def _check(self, place: list) -> None:
        """Whether a URL names this model and version."""
        name, version, label = place
        if unquote(name) != self.name:
            asked = f"Latest({contract.short(unquote(name))})"
            raise Refusal(404, f"Servable not found for request: {asked}; there is {self.name}")
        if version is not None and version.lstrip("0") != str(self._version).lstrip("0"):
            asked = f"Specific({self.name}, {contract.short(version)})"
            raise Refusal(404, f"Servable not found for request: {asked}; there is version {self._version}")
        if label is not None and unquote(label) not in self._labels:
            raise Refusal(400, f"Unrecognized servable version label: {contract.short(unquote(label))}")

    def _tell(self, place: list, metadata: bool) -> bytes:
        name, version, _ = place
        try:
            self._check(place)
        except Refusal as refusal:
            if refusal.status == 404 and not metadata:
                asked = contract.short(unquote(name))
                raise Refusal(
                    404,
                    f"Could not find any versions of model {asked}"
                    if asked != self.name
                    else f"Could not find version {contract.short(version)} of model {asked}",
                ) from None
            raise
        if not metadata:
            return contract.write_status(self._version, "AVAILABLE" if self._model else "LOADING")
        if self._model is None:
            raise Refusal(503, f"the model {self.name} is still loading")
        return contract.write_metadata(self.name, self._version, self._model.signatures)

    def _healthz(self) -> web.Response:
        """Alive: the thread of the model is there, whether it loads or answers."""
        return _json(b'{"status": "alive"}') if self._batcher.alive else _json(b'{"status": "dead"}', 503)

    def _readyz(self) -> web.Response:
        if self.ready:
            return _json(b'{"status": "ready"}')
        return _json(b'{"status": "stopping"}' if self._stopping else b'{"status": "loading"}', 503)

    def _metrics(self) -> web.Response:
        return web.Response(body=self.metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    def _observe(self, texts: int, requests: int, seconds: float) -> None:
        self.metrics.batch_texts.observe(texts)
        self.metrics.batch_requests.observe(requests)
        self.metrics.model_seconds.observe(seconds)


PROBES = {"/healthz": App._healthz, "/readyz": App._readyz, "/metrics": App._metrics}


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _call(loop: asyncio.AbstractEventLoop, function: Callable, *arguments) -> None:
    """Calls a function in the loop's thread, unless that has ended."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        log.debug("an answer that nobody waits for")


def _settle(future: asyncio.Future, found) -> None:
    if future.done():
        return
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)


def _place(error: Exception) -> str:
    """The line that raised, without what it said."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return "?" if frame is None else f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
