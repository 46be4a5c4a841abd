"""Requests to an application without a server."""

import asyncio
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes


def ask(app, method, path, body=b"", headers=None, query=""):
    """Send one request as a program on this machine would; headers replace its own, None leaves one out.

    A list in place of the body is what arrives of it; then nothing follows.
    """
    own = {"host": "127.0.0.1:8000", "content-length": str(len(body))} | (headers or {})
    sent = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.encode(), text.encode("latin-1")) for name, text in own.items() if text is not None
        ],
    }

    whole = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
    received = list(body) if isinstance(body, list) else whole

    async def receive():
        return received.pop(0) if received else await asyncio.sleep(3600)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    told = {name.decode().lower(): text.decode() for name, text in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent[1:]))
