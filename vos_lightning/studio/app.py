"""The routes: what a page may ask for. Masks travel as gzipped bytes, one id per pixel, row by row."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vos_lightning.errors import VOSError
from vos_lightning.studio import outline
from vos_lightning.studio.exports import export, exported
from vos_lightning.studio.objects import object_from
from vos_lightning.studio.security import Gate
from vos_lightning.studio.session import Studio

STATIC = Path(__file__).parent / "static"
Handler = Callable[[Request], Awaitable[Response]]


def create_app(studio: Studio, token: str, host: str = "127.0.0.1") -> Gate:
    """The ASGI application.

    Args:
        studio: that the pages talk to.
        token: that addresses start with.
        host: that is listened on.
    """
    routes = _Routes(studio)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/", routes.page),
        ("GET", "/state", routes.state),
        ("GET", "/events", routes.events),
        ("POST", "/open", routes.open),
        ("GET", "/frames/{frame:int}", routes.frame),
        ("GET", "/thumbnails/{frame:int}", routes.thumbnail),
        ("GET", "/masks/{frame:int}", routes.mask),
        ("PUT", "/given/{frame:int}", routes.give),
        ("DELETE", "/given/{frame:int}", routes.take_back),
        ("POST", "/given/{frame:int}/import", routes.import_mask),
        ("PUT", "/objects", routes.set_objects),
        ("POST", "/outline/{frame:int}", routes.outline),
        ("POST", "/tracking", routes.track),
        ("POST", "/exports", routes.export),
        ("GET", "/exports/{name}", routes.download),
    ]
    app = Starlette(
        routes=[
            *(Route(path, handler, methods=[method]) for method, path, handler in table),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={VOSError: _say, OSError: _say, ClientDisconnect: _say, RecursionError: _say_nesting},
    )
    return Gate(app, token, host)


class _JSON(JSONResponse):
    """JSON in ASCII: names of files needn't be Unicode, nor what other pages call objects."""

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - as in Starlette
        """As bytes."""
        return json.dumps(content).encode()


class _Routes:
    """One method for each route; what takes long runs in a thread."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def state(self, request: Request) -> Response:
        return _JSON(await run_in_threadpool(self.studio.state))

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self.studio.events.listen(), media_type="text/event-stream")

    async def open(self, request: Request) -> Response:
        name = (await _json(request)).get("name")
        await run_in_threadpool(self.studio.choose, str(name))
        return _JSON({})

    async def frame(self, request: Request) -> Response:
        return await self._jpeg(request, self.studio.session.pictures.__getitem__)

    async def thumbnail(self, request: Request) -> Response:
        return await self._jpeg(request, self.studio.session.thumbnails.__getitem__)

    async def _jpeg(self, request: Request, read: Callable[[int], bytes]) -> Response:
        picture = await run_in_threadpool(read, request.path_params["frame"])
        # the video doesn't change while it is open; the token, part of the address, is new with every start
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def mask(self, request: Request) -> Response:
        return _ids_response(await run_in_threadpool(self.studio.session.project.mask, request.path_params["frame"]))

    async def give(self, request: Request) -> Response:
        session, frame = self.studio.session, request.path_params["frame"]
        ids = _unpack(await request.body(), session.project.size)
        await run_in_threadpool(session.project.give, frame, ids)
        session.worker.warm_up()
        return _JSON(await run_in_threadpool(session.tell_changes, frame, _page(request)))

    async def take_back(self, request: Request) -> Response:
        session, frame = self.studio.session, request.path_params["frame"]
        await run_in_threadpool(session.project.take_back, frame)
        return _JSON(await run_in_threadpool(session.tell_changes, frame, _page(request)))

    async def import_mask(self, request: Request) -> Response:
        session, frame = self.studio.session, request.path_params["frame"]
        body = await request.body()
        await run_in_threadpool(session.project.import_mask, frame, body)
        return _JSON(await run_in_threadpool(session.tell_changes, frame, ""))

    async def set_objects(self, request: Request) -> Response:
        session = self.studio.session
        wish = (await _json(request)).get("objects")
        if not isinstance(wish, list):
            raise VOSError("the request holds no list of objects")
        objects = [object_from(one) for one in wish]
        await run_in_threadpool(session.project.set_objects, objects)
        return _JSON(await run_in_threadpool(session.tell_changes, None, _page(request)))

    async def outline(self, request: Request) -> Response:
        session, frame = self.studio.session, request.path_params["frame"]
        wish = outline.request_from(await _json(request), session.project.size)

        def work() -> NDArray[np.uint8]:
            return session.outliner(frame, wish.box).outline(wish.strokes).astype(np.uint8)

        return _ids_response(await run_in_threadpool(work))

    async def track(self, request: Request) -> Response:
        worker, wish = self.studio.session.worker, await _json(request)
        match wish.get("do"):
            case "start":
                worker.start(wish.get("mode"), self._frame_of(wish))  # type: ignore[arg-type]
            case "go on":
                worker.resume_interrupted()
            case "pause" | "resume":
                worker.pause(wish["do"] == "pause")
            case "stop":
                worker.stop()
            case _:
                raise VOSError("tracking can be asked to start, go on, pause, resume or stop")
        return _JSON({})

    def _frame_of(self, wish: dict[str, Any]) -> int:
        """The frame that a request names, the first one if none.

        Raises:
            VOSError: there is no such frame.
        """
        frame, count = wish.get("frame", 0), self.studio.session.project.num_frames
        if type(frame) is not int or not 0 <= frame < count:
            raise VOSError(f"frame is {frame!r:.30}; expected a number from 0 to {count - 1}")
        return frame

    async def export(self, request: Request) -> Response:
        wish = await _json(request)
        path = await run_in_threadpool(export, self.studio.session.project, str(wish.get("form")))
        return _JSON({"name": path.name})

    async def download(self, request: Request) -> Response:
        path = exported(self.studio.session.project, request.path_params["name"])
        return FileResponse(path, filename=path.name)


def _ids_response(ids: NDArray[np.uint8]) -> Response:
    return Response(gzip.compress(ids.tobytes(), 1), media_type="application/octet-stream")


def _unpack(body: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Ids (H, W) of a request; no more is unpacked than a mask holds.

    Raises:
        VOSError: it isn't a mask of this size.
    """
    pixels = size[0] * size[1]
    try:
        content = zlib.decompressobj(wbits=31).decompress(body, pixels + 1)
    except zlib.error as error:
        raise VOSError("the mask is not gzipped") from error
    if len(content) != pixels:
        raise VOSError(f"the mask does not have {size[1]}×{size[0]} pixels")
    return np.frombuffer(content, np.uint8).reshape(size)


async def _json(request: Request) -> dict[str, Any]:
    """The object in a request.

    Raises:
        VOSError: it holds none.
    """
    try:
        content = await request.json()
    except ValueError as error:
        raise VOSError("the request is not JSON") from error
    if not isinstance(content, dict):
        raise VOSError("the request is not a JSON object")
    return content


def _page(request: Request) -> str:
    """Which page asks, so that it needn't be told of its own doing."""
    return request.headers.get("x-page", "")


async def _say(request: Request, error: Exception) -> Response:
    """What went wrong, in one line that the page shows."""
    return _JSON({"error": " ".join(str(error).split())}, 400 if isinstance(error, VOSError) else 500)


async def _say_nesting(request: Request, error: Exception) -> Response:
    """JSON so deep that Python can't read it, or can't quote it."""
    return _JSON({"error": "the request's JSON is nested too deep"}, 400)
