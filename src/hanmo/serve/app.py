"""The application: its addresses, their answers, and the layers around them (:mod:`hanmo.serve.limits`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import hanmo
from hanmo.charset import list_sets, sets_within
from hanmo.image import MAX_PIXELS
from hanmo.recognizer import Recognizer
from hanmo.serve.callers import Callers
from hanmo.serve.config import ServeConfig
from hanmo.serve.desk import Desk
from hanmo.serve.limits import SHEETS, Guard, Watch
from hanmo.serve.manual import render
from hanmo.serve.metrics import CONTENT_TYPE, Metrics
from hanmo.serve.openapi import (
    CHARACTER_REFUSALS,
    CORRECTION_BODY,
    CORRECTION_REFUSALS,
    EXPLAIN_BODY,
    EXPLAIN_REFUSALS,
    RECOGNIZE_ANSWERS,
    RECOGNIZE_BODY,
    SHEET_ANSWERS,
    SHEET_BODY,
)
from hanmo.serve.problems import RefusedError, of_status
from hanmo.serve.schemas import (
    MAX_TOP,
    Answer,
    CharacterAnswer,
    CorrectionAnswer,
    ExplanationAnswer,
    Health,
    Limits,
    ModelAnswer,
    Source,
)
from hanmo.serve.sheets import Asked, SheetAnswer
from hanmo.serve.uploads import media_type
from hanmo.sheets.order import Direction
from hanmo.strokes import MAX_POINTS, MAX_STROKES

# Without blanks and with characters as they are: fewer bytes. json.dumps() would make an encoder for every answer.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

T = TypeVar("T")

STATIC = Path(__file__).with_name("static")

Wanted = Annotated[str | None, Query(description="The character to explain; if left out, the best candidate.")]
Right = Annotated[str, Query(description="The character on the picture.", examples=["永"])]
Known = Annotated[str, PathParameter(description="One character.", examples=["永"])]
Among = Annotated[
    str | None,
    Query(
        description="Choose among these characters only, or among named sets joined by +, which an address writes as "
        f"%2B. Sets: {list_sets()}."
    ),
]
Order = Annotated[Direction, Query(description="The order of reading.")]
Context = Annotated[bool, Query(description="Whether neighbouring cells help to choose among a cell's candidates.")]
Top = Annotated[int, Query(ge=1, le=MAX_TOP, description="How many candidates a picture gets.")]


def create_app(config: ServeConfig, reader: Recognizer | None = None) -> FastAPI:
    """The server's application, reading with ``reader`` or with the bundle that ``config`` names.

    The bundle is loaded here, so that :class:`hanmo.errors.BundleError` comes before anything listens.
    """
    reader = reader or Recognizer(config.bundle)
    metrics = Metrics()
    # One desk for all requests: its queue is what lets pictures of different clients share a run of the net.
    desk = Desk(reader, config, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await desk.open()
        yield
        await desk.close()

    app = FastAPI(
        title="hanmo",
        version=hanmo.__version__,
        description="Reads pictures and strokes of single handwritten Chinese characters.",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirection would send clients to whatever host they named
        lifespan=lifespan,
    )
    # The last one added is the outermost: Watch also counts what the others refuse.
    app.add_middleware(Guard, config=config)
    app.add_middleware(Callers, config=config)
    app.add_middleware(Watch, metrics=metrics)
    _handle_refusals(app)
    _add_reading(app, desk, config)
    _add_sheets(app, desk)
    if config.keep is not None:
        _add_corrections(app, desk)
    _add_health(app, desk, metrics)
    _add_pages(app)
    return app


def _add_reading(app: FastAPI, desk: Desk, config: ServeConfig) -> None:
    model = _model(desk.reader, config)

    @app.post(
        "/v1/recognize",
        tags=["reading"],
        summary="Read pictures or strokes",
        response_model=Answer,
        responses=RECOGNIZE_ANSWERS,
        openapi_extra={"requestBody": RECOGNIZE_BODY},
    )
    async def recognize(request: Request, top: Top = 5, among: Among = None) -> Response:
        """Read one character a picture. Several pictures get an answer each, in their order. `among` may also be a
        field of the form. A picture that shows no ink or no known character has a `reason`. One whose file cannot be
        read has an `error` in its place; if it came alone, the whole call is refused."""
        # Encoded here, as FastAPI would check every field of the answer first.
        results = await _while_wanted(request, desk.read(*await _sent(request), top, among))
        answer = {"results": results, "model": model.name}
        return Response(_ENCODER.encode(answer), media_type="application/json")

    @app.post(
        "/v1/explain",
        tags=["reading"],
        summary="Explain why a picture is read as a character",
        responses=EXPLAIN_REFUSALS,
        openapi_extra={"requestBody": EXPLAIN_BODY},
    )
    async def explain(request: Request, character: Wanted = None) -> ExplanationAnswer:
        """Removes the ink of one picture, place by place, and returns how the character's probability changes. This
        takes as long as reading a hundred pictures, so few are explained at once."""
        return await _while_wanted(request, desk.explain(*await _sent(request), character))

    @app.get(
        "/v1/characters/{character:path}",
        tags=["reading"],
        summary="Look up how a character is written, and what it is confused with",
        responses=CHARACTER_REFUSALS,
    )
    async def look_up(character: Known) -> CharacterAnswer:
        """The strokes of a character as they are taught, and its look-alikes: the other characters that the model finds
        in these strokes."""
        return await desk.look_up(character)

    @app.get("/v1/model", tags=["reading"], summary="The model that reads, and the limits of a call")
    async def describe_model() -> ModelAnswer:
        return model


def _add_sheets(app: FastAPI, desk: Desk) -> None:
    @app.post(
        SHEETS,
        tags=["reading"],
        summary="Read a photograph of a sheet with a character in each box",
        response_model=SheetAnswer,
        responses=SHEET_ANSWERS,
        openapi_extra={"requestBody": SHEET_BODY},
    )
    async def read_sheet(
        request: Request, direction: Order = "rows", context: Context = False, among: Among = None, top: Top = 10
    ) -> Response:
        """Finds the boxes on one picture and reads the character in each. Cells come in reading order. `among` may also
        be a field of the form. A sheet takes seconds, so sheets are read one after the other."""
        work = desk.read_sheet(*await _sent(request), Asked(direction, context, among, top))
        return Response(_ENCODER.encode(await _while_wanted(request, work)), media_type="application/json")


def _add_corrections(app: FastAPI, desk: Desk) -> None:
    @app.post(
        "/v1/corrections",
        tags=["reading"],
        summary="Keep a picture with its character",
        responses=CORRECTION_REFUSALS,
        openapi_extra={"requestBody": CORRECTION_BODY},
    )
    async def correct(request: Request, character: Right) -> CorrectionAnswer:
        """Stores one picture, or strokes, in the folder that `hanmo serve --keep` names, so that `hanmo adapt` and
        `hanmo extend` can learn from it. The model need not know the character. A picture that is stored already is
        not stored again; the last character sent with it counts."""
        return await desk.correct(*await _sent(request), character)


async def _while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``work``, cancelled as soon as the client is gone: another may be waiting for its place."""
    # Two tasks race: the work, and the client's leaving, which arrives as a message.
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # the body has come, so nothing else can
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _sent(request: Request) -> tuple[str, bytes]:
    """Content-Type and body of a request, of a type that is taken. Raises :class:`RefusedError`."""
    content_type = request.headers.get("content-type", "")
    media_type(content_type)  # refused before its body is waited for
    # Gathered here and not by request.form(), which spools large files to the disk.
    return content_type, b"".join([chunk async for chunk in request.stream()])


def _add_health(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    @app.head("/health/live", include_in_schema=False)
    @app.get("/health/live", tags=["operation"], summary="Whether the server runs")
    async def live() -> Health:
        return Health(status="ok")

    @app.head("/health/ready", include_in_schema=False)
    @app.get(
        "/health/ready",
        tags=["operation"],
        summary="Whether the server would read a picture now",
        responses={503: {"model": Health, "description": "It starts, stops or is busy."}},
    )
    async def ready(response: Response) -> Health:
        if desk.ready:
            return Health(status="ok")
        response.status_code = 503
        return Health(status="busy")

    @app.get(
        "/metrics",
        tags=["operation"],
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "In Prometheus's text format."}},
    )
    async def figures() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_pages(app: FastAPI) -> None:
    # HEAD, which link checkers and monitors send, is answered like GET; the body is left out on the way.
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def manual() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    app.mount("/static", _Static(directory=STATIC))


class _Static(StaticFiles):
    """Files that browsers keep, but ask about each time."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        # no-cache means: keep it, but ask whether it has changed. So a new version reaches every browser at once.
        response.headers.setdefault("Cache-Control", "no-cache")
        return response


def _handle_refusals(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(request: Request, problem: RefusedError) -> Response:
        return problem.response()

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        return of_status(error.status_code, error.detail, error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        # Only the first mistake: one line is enough to mend a query.
        first = error.errors()[0]
        return RefusedError(422, "malformed_query", f"{first['loc'][-1]}: {first['msg']}").response()


def _model(reader: Recognizer, config: ServeConfig) -> ModelAnswer:
    bundle = reader.bundle
    return ModelAnswer(
        name=bundle.name,
        net=bundle.net,
        precision=bundle.precision,
        parameters=bundle.parameters,
        characters=len(reader.characters),
        sets=sets_within(reader.characters),
        licence=bundle.licence,
        trained_on=[Source(name=source["name"], licence=source["licence"]) for source in bundle.trained_on],
        accuracy=dict(bundle.accuracy),
        version=hanmo.__version__,
        keeps_corrections=config.keep is not None,
        limits=Limits(
            body_bytes=config.max_body,
            json_bytes=config.max_json,
            pictures=config.max_pictures,
            pixels=MAX_PIXELS,
            strokes=MAX_STROKES,
            points=MAX_POINTS,
            timeout_seconds=config.timeout,
            sheet_timeout_seconds=config.sheet_timeout,
        ),
    )
