"""Serves the report's files, and nothing else: `python -m qimo_assets.report.serve`.

Reads only; knows neither MySQL nor Dagster, so that the page is there when they are not.
"""

from __future__ import annotations

import hmac

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qimo_assets.probes import basic_authorization
from qimo_assets.report.charts import charts
from qimo_assets.report.files import Site, write_json
from qimo_assets.settings import LOOPBACK_NAMES, ReportSettings, load_settings

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Kept, and asked for anew each time: the figures change, and an unchanged file costs one answer
    # without a body.
    "cache-control": "no-cache",
}


class SecurityHeaders:
    """Adds the same headers to every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Authentication:
    """Answers only who gives the name and the password."""

    def __init__(self, app: ASGIApp, username: str, password: str) -> None:
        self.app = app
        self._expected = basic_authorization(username, password)["Authorization"].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            given = HTTPConnection(scope).headers.get("authorization", "").encode("latin-1")
            # In the same time, however much of it is right.
            if not hmac.compare_digest(given, self._expected):
                await PlainTextResponse(
                    "Name and password, please.",
                    401,
                    {"www-authenticate": 'Basic realm="report", charset="UTF-8"'},
                )(scope, receive, send)
                return
        await self.app(scope, receive, send)


def build_server(settings: ReportSettings) -> Starlette:
    """Return the server of the report; what is missing of the page is put in place, so that there
    is one before the first figure.
    """
    site = Site(settings.directory)
    site.install()
    site.install_map(settings.map_file, settings.map_note)
    write_json(site.charts, charts())
    password = settings.access_password
    access = (
        [Middleware(Authentication, settings.access_username, password.get_secret_value())]
        if password
        else []
    )
    # A browser writes an IPv6 address in brackets.
    own_names = [f"[{name}]" if ":" in name else name for name in LOOPBACK_NAMES]
    return Starlette(
        routes=[Mount("/", StaticFiles(directory=site.root, html=True))],
        middleware=[
            Middleware(SecurityHeaders),
            # A page of another site that gives its own name this machine's address must not read
            # the figures (DNS rebinding).
            Middleware(
                TrustedHostMiddleware, allowed_hosts=own_names if settings.is_local else ["*"]
            ),
            *access,
            Middleware(GZipMiddleware, minimum_size=1024),
        ],
    )


def main() -> None:
    """Serve until told to end."""
    settings = load_settings().report
    uvicorn.run(
        build_server(settings),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.server_file,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
