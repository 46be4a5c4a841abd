"""The page on the loopback address: what answers its requests.

Whoever knows the address that the program prints may look and score; it holds a secret, because every
account of the machine reaches its loopback address.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib.resources import files

import uvicorn
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from semtune.errors import SemtuneError
from semtune.files import disk_trouble
from semtune.labelling.session import Labelling, State
from semtune.loopback import ADDRESS, guarded, listen

_MOST_BYTES = 4096
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rater: str


class _Score(_Asked):
    frame: int
    earlier: int
    score: FiniteFloat


def serve_page(labelling: Labelling, port: int, rater: str, opened: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted.

    Args:
        labelling: What is labelled.
        port: TCP port; 0 takes a free one.
        rater: Who labels; the page asks where it is empty.
        opened: Told the page's address once it can be opened.

    Raises:
        ConfigError: If the port cannot be opened.
    """
    with listen(port) as opened_port:
        opened_port.listen()
        secret = secrets.token_urlsafe(16)
        config = uvicorn.Config(
            application(labelling, secret, rater),
            lifespan="off", ws="none", access_log=False, log_level="warning", server_header=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        opened(f"http://{ADDRESS}:{opened_port.getsockname()[1]}/{secret}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[opened_port])


def application(labelling: Labelling, secret: str, rater: str) -> ASGIApp:
    """What answers the page; everything lies below `/SECRET/`."""

    async def picture(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(labelling.images):
            return _refused("there is no such frame", 404)
        return Response(
            await run_in_threadpool(labelling.picture, number), media_type="image/png", headers=_HEADERS
        )

    async def begin(request: Request) -> Response:
        low, high = labelling.score_range
        return _answer({"rater": rater, "low": low, "high": high, "frames": len(labelling.images)})

    async def state(request: Request) -> Response:
        asked = _Asked.model_validate_json(await request.body())
        return _state(await run_in_threadpool(labelling.state, asked.rater))

    async def rate(request: Request) -> Response:
        given = _Score.model_validate_json(await request.body())
        values = given.rater, given.frame, given.earlier, given.score
        return _state(await run_in_threadpool(labelling.rate, *values))

    async def undo(request: Request) -> Response:
        asked = _Asked.model_validate_json(await request.body())
        return _state(await run_in_threadpool(labelling.take_back, asked.rater))

    routes = [
        *(Route(f"/{name}", _static(name)) for name in _PAGE),
        Route("/frames/{number:int}", picture),
        Route("/begin", begin),
        Route("/state", state, methods=["POST"]),
        Route("/rate", rate, methods=["POST"]),
        Route("/undo", undo, methods=["POST"]),
    ]
    app = Starlette(
        routes=[Mount(f"/{secret}", routes=routes)],
        exception_handlers={
            SemtuneError: _told,
            OSError: _disk,
            ValidationError: _malformed,
            404: _not_found,
        },
    )
    return guarded(app, _MOST_BYTES)


def _static(name: str) -> Callable[[Request], Response]:
    content = files("semtune.labelling").joinpath("page", name or "page.html").read_bytes()

    def answer(request: Request) -> Response:
        return Response(content, media_type=_PAGE[name], headers=_HEADERS)

    return answer


def _state(state: State) -> Response:
    return _answer({**asdict(state), "next": state.next._asdict() if state.next else None})


def _answer(facts: dict[str, object]) -> Response:
    return JSONResponse(facts, headers=_HEADERS)


def _refused(why: str, status: int) -> Response:
    return JSONResponse({"refused": why}, status, headers=_HEADERS)


async def _told(request: Request, fault: Exception) -> Response:
    return _refused(str(fault), 422)


async def _disk(request: Request, fault: Exception) -> Response:
    return _refused(f"not saved: {disk_trouble(fault) or fault}", 507)


async def _malformed(request: Request, fault: Exception) -> Response:
    return _refused("the request is malformed", 422)


async def _not_found(request: Request, fault: Exception) -> Response:
    return PlainTextResponse("open the address that `semtune label` printed\n", 404, headers=_HEADERS)
