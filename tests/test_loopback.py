"""Pages on loopback answer to their own names and pages alone."""

import pytest
from asgi import ask
from starlette.responses import PlainTextResponse

from semtune.errors import ConfigError
from semtune.loopback import guarded, listen


def status(method="GET", **headers):
    """Status with which a guarded application answers a request that says no length unless it is told."""
    named = {"content-length": None} | {name.replace("_", "-"): text for name, text in headers.items()}
    answer = ask(guarded(PlainTextResponse("in"), most_bytes=100), method, "/", headers=named)
    assert (answer.body == b"in") is (answer.status == 200)
    return answer.status


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:80", "[::1]:9"])
def test_it_answers_to_the_names_of_loopback(host):
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8000", "192.168.0.1", "", "0.0.0.0"]
)
def test_it_is_deaf_to_every_other_name(host):
    assert status(host=host) == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_length": "100"}, 200),  # a program
        ({"content_length": "1", "origin": "http://127.0.0.1:8000", "sec_fetch_site": "same-origin"}, 200),
        ({"content_length": "1", "origin": "http://127.0.0.1:8001"}, 403),
        ({"content_length": "1", "origin": "https://evil.example"}, 403),
        ({"content_length": "1", "origin": "null"}, 403),
        ({"content_length": "1", "sec_fetch_site": "cross-site"}, 403),
        ({"content_length": "1", "sec_fetch_site": "same-site"}, 403),
        ({}, 411),
        ({"transfer_encoding": "chunked"}, 411),
        ({"content_length": "-1"}, 411),
        ({"content_length": "101"}, 413),
        ({"content_length": "9" * 5000}, 413),
    ],
)
def test_only_the_own_page_and_programs_may_change_anything_and_briefly(headers, code):
    assert status("POST", **headers) == code
    assert status("DELETE", **headers) == code


def test_a_port_is_opened_on_loopback_alone_and_a_taken_one_is_told():
    with listen(0) as opened:
        address, port = opened.getsockname()
        assert address == "127.0.0.1"
        opened.listen()
        with pytest.raises(ConfigError, match=f"port {port} cannot be opened .*choose another --port"):
            listen(port)
