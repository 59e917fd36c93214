"""Serves the report's files, and nothing else: `python -m qimo_assets.report.serve`.

Reads only; knows neither MySQL nor Dagster, so that the page is there when they are not.
"""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qimo_assets.report.files import Site
from qimo_assets.settings import ReportSettings, load_settings

LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Kept, and asked for anew each time: the figures change, and an unchanged file costs one answer without a body.
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


def build_server(settings: ReportSettings) -> Starlette:
    """Return the server of the report; what is missing of the page is put in place, so that there is one before the first figure."""
    site = Site(settings.directory)
    site.install()
    loopback = settings.host in LOOPBACK_NAMES
    return Starlette(
        routes=[Mount("/", StaticFiles(directory=site.root, html=True))],
        middleware=[
            Middleware(SecurityHeaders),
            # A page of another site that gives its own name this machine's address must not read the figures (DNS rebinding).
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES if loopback else ["*"]),
            Middleware(GZipMiddleware, minimum_size=1024),
        ],
    )


def main() -> None:
    """Serve until told to end."""
    settings = load_settings().report
    uvicorn.run(build_server(settings), host=settings.host, port=settings.port, access_log=False, server_header=False, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
