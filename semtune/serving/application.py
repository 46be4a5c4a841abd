"""What the server answers: routes, their forms, and their refusals."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path

from semtune.scoring import ScoredFrame
from semtune.serving.desk import Desk, RefusedError

MOST_FRAMES = 32
"""Of a request."""
_IMAGES = ("image/png", "image/tiff", "image/jpeg", "image/bmp", "application/octet-stream")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"description": what, "content": {"application/json": {"example": {"refused": what}}}}
    for code, what in {
        408: "the request did not arrive in time",
        413: "the request is too large",
        422: "the frame or a control parameter cannot be used, with the reason",
        503: "the server is busy; try again",
    }.items()
}


class Score(BaseModel):
    """The answer to a frame."""

    score: float = Field(description="Score points; higher is better.")
    model_version: int = Field(description="Of the champion.")
    controls: dict[str, float] = Field(description="Control parameters that were known.")
    missing: list[str] = Field(description="Control parameters that were not.")
    engine: str = Field(description="What computed it, and in which precision.")


class FrameSent(BaseModel):
    """A frame of a batch."""

    model_config = ConfigDict(extra="forbid")

    image: Base64Bytes = Field(description="A PNG, TIFF, JPEG or BMP file, in base64.")
    controls: dict[str, FiniteFloat] = Field({}, description="Known control parameters by name.")


class Batch(BaseModel):
    """Several frames."""

    model_config = ConfigDict(extra="forbid")

    frames: Annotated[list[FrameSent], Field(min_length=1, max_length=MOST_FRAMES)]


class Health(BaseModel):
    """That the server is up, and with which model."""

    status: str
    model_version: int
    architecture: str
    control_parameters: list[str]
    score_range: tuple[float, float]
    smallest_side: int = Field(description="Of a frame, pixels.")
    trained_on: str = Field(description="`measured` or `simulated` frames and scores.")
    engine: str


def application(desk: Desk, version: int, seconds: float, semtune_version: str) -> FastAPI:
    """Build the application.

    Args:
        desk: Scores.
        version: Of the champion.
        seconds: That a request may take to arrive, and again to be answered.
        semtune_version: Shown on the page.
    """
    app = FastAPI(
        title="semtune: scores of SEM frames", version=semtune_version, docs_url=None, redoc_url=None,
        exception_handlers={
            RequestValidationError: _malformed, AnyHTTPException: _refused,
            RefusedError: _unusable, TimeoutError: _busy, ClientDisconnect: _gone,
        },
    )  # fmt: skip
    app.openapi_version = "3.0.3"  # what the page's copy of Swagger UI knows

    async def answered(image: bytes, controls: dict[str, float]) -> Score:
        scored = await run_in_threadpool(desk.score, image, controls)
        return _as_score(version, scored)

    async def score(request: Request) -> Score:
        """Score one frame: the body is the image file, control parameters stand in the address."""
        controls = {name: _number(name, text) for name, text in request.query_params.items()}
        image = await request.body()
        return await asyncio.wait_for(answered(image, controls), seconds)

    async def score_batch(batch: Batch) -> list[Score]:
        """Score several frames, in their order; one that cannot be scored refuses them all, and is named."""
        async with asyncio.timeout(seconds):
            return [await _numbered(number, each) for number, each in enumerate(batch.frames)]

    async def _numbered(number: int, sent: FrameSent) -> Score:
        try:
            return await answered(sent.image, sent.controls)
        except RefusedError as refusal:
            raise RefusedError(f"frames[{number}]: {refusal}") from None

    def health() -> Health:
        """Tell that the server is up, and with which model."""
        return _health(desk, version)

    def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json", title=app.title, swagger_js_url="page/swagger-ui-bundle.js",
            swagger_css_url="page/swagger-ui.css", swagger_favicon_url="page/favicon-32x32.png",
        )  # fmt: skip

    described = _body_and_parameters(desk.scorer.control_parameters)
    app.add_api_route("/score", score, methods=["POST"], responses=_REFUSALS, openapi_extra=described)
    app.add_api_route("/score/batch", score_batch, methods=["POST"], responses=_REFUSALS)
    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/docs", page, methods=["GET"], include_in_schema=False)
    app.mount("/page", StaticFiles(directory=swagger_ui_path))
    app.add_middleware(_InTime, seconds=seconds)
    return app


class _InTime:
    """Gives up on a request whose body does not arrive in time."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        end, arrived = time.monotonic() + self._seconds, False

        async def receive_in_time() -> Message:
            nonlocal arrived
            if arrived:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), end - time.monotonic())
            except TimeoutError:
                raise HTTPException(408, "the request did not arrive in time") from None
            arrived = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)


def _as_score(version: int, scored: ScoredFrame) -> Score:
    return Score(
        score=scored.score,
        model_version=version,
        controls=scored.controls,
        missing=list(scored.missing),
        engine=scored.engine,
    )


def _health(desk: Desk, version: int) -> Health:
    scorer = desk.scorer
    return Health(
        status="ok",
        model_version=version,
        architecture=scorer.settings.architecture,
        control_parameters=list(scorer.control_parameters),
        score_range=scorer.score_range,
        smallest_side=scorer.settings.crop,
        trained_on=scorer.dataset_origin,
        engine=f"{scorer.engine.name}, {scorer.engine.precision}",
    )


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(f"control parameter {name[:40]!r} is {text[:40]!r}, which is no number")
    return number


def _body_and_parameters(names: tuple[str, ...]) -> dict[str, Any]:
    """What OpenAPI is told of a body that is a file, and of control parameters in the address."""
    image = {"schema": {"type": "string", "format": "binary"}}
    return {
        "requestBody": {"required": True, "content": dict.fromkeys(_IMAGES, image)},
        "parameters": [
            {
                "name": name,
                "in": "query",
                "schema": {"type": "number"},
                "description": "If known and not in the metadata.",
            }
            for name in names
        ],
    }


def _answer(why: str, status: int) -> JSONResponse:
    return JSONResponse({"refused": why}, status)


async def _unusable(request: Request, fault: Exception) -> JSONResponse:
    return _answer(str(fault), 422)


async def _busy(request: Request, fault: Exception) -> JSONResponse:
    return _answer("the server is busy; try again", 503)


async def _gone(request: Request, fault: Exception) -> JSONResponse:
    return _answer("the request broke off", 400)  # nobody hears it


async def _refused(request: Request, fault: Exception) -> JSONResponse:
    code, why = (
        (fault.status_code, fault.detail) if isinstance(fault, AnyHTTPException) else (400, str(fault))
    )
    return _answer(why, code)


async def _malformed(request: Request, fault: Exception) -> JSONResponse:
    """Pydantic's first complaint, without what it complains about: that may be a frame."""
    first = fault.errors()[0] if isinstance(fault, RequestValidationError) else {"loc": (), "msg": str(fault)}
    place = ".".join(map(str, first["loc"]))
    return _answer(f"{place}: {first['msg']}", 422)
