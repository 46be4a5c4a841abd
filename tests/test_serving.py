"""What the server answers, asked in this process."""

import base64
import io
import json
import threading
import time
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from asgi import ask
from champion_place import woken_network
from conftest import grain_texture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semtune.config import Hyperparameters
from semtune.errors import ConfigError
from semtune.images import write_png
from semtune.loopback import guarded
from semtune.scoring import Scorer
from semtune.training.checkpoint import write_weights

pytest.importorskip("fastapi")
pytest.importorskip("swagger_ui_bundle")
from semtune.serving.application import MOST_FRAMES, application
from semtune.serving.desk import Desk
from semtune.serving.server import ServerSettings, serve

NAMES = ["brightness", "contrast", "focus"]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "weights.safetensors"
    facts = {
        "hyperparameters": Hyperparameters(architecture="pacf", crop=64, tiles=4).model_dump(),
        "control_parameters": NAMES,
        "score_range": [0.0, 10.0],
        "dataset_origin": "measured",
    }
    write_weights(woken_network(), facts, path)
    return Scorer.from_weights(path)


@pytest.fixture
def desk(scorer, tmp_path):
    return Desk(scorer, tmp_path, "folded")


@pytest.fixture
def app(desk):
    return application(desk, 7, 10.0, "0.1.0")


@pytest.fixture
def frame():
    return grain_texture(np.random.default_rng(3), 96, 128).astype(np.uint8)


@pytest.fixture
def image(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "frame.png"
    write_png(path, frame)
    return path.read_bytes()


def asked(app, method, address, body=b"", headers=None):
    """Status and answer as JSON."""
    parts = urlsplit(address)
    answer = ask(app, method, parts.path, body, headers, parts.query)
    return answer.status, json.loads(answer.body)


def batch(*frames):
    sent = [{"image": base64.b64encode(image).decode(), "controls": controls} for image, controls in frames]
    return json.dumps({"frames": sent}).encode()


JSON = {"content-type": "application/json"}


def test_a_frame_scores_as_on_the_command_line(app, scorer, frame, image):
    status, told = asked(app, "POST", "/score?brightness=50&focus=-0.5", image)
    assert status == 200
    expected = scorer.on("folded").score(frame, {"brightness": 50.0, "focus": -0.5})
    assert told == {
        "score": round(expected, 3),
        "model_version": 7,
        "controls": {"brightness": 50.0, "focus": -0.5},
        "missing": ["contrast"],
        "engine": "folded, float32",
    }


def test_a_batch_is_answered_in_its_order(app, scorer, frame, image):
    other = io.BytesIO()
    np.save(other, frame)
    status, told = asked(app, "POST", "/score/batch", batch((image, {}), (image, {"contrast": 40})), JSON)
    assert status == 200
    each = scorer.on("folded")
    assert [one["score"] for one in told] == [
        round(each.score(frame, controls), 3) for controls in ({}, {"contrast": 40.0})
    ]


@pytest.mark.parametrize(
    ("address", "body", "why"),
    [
        ("/score", b"no image", "is no PNG, TIFF, JPEG or BMP file"),
        ("/score", b"", "has 0 bytes"),
        ("/score", b"\x89PNG\r\n\x1a\n" + b"x" * 50, "damaged or incomplete image"),
        ("/score?brigthness=5", None, "no control parameter named 'brigthness'; did you mean 'brightness'"),
        ("/score?brightness=bright", None, "control parameter 'brightness' is 'bright', which is no number"),
        ("/score?brightness=nan", None, "which is no number"),
        ("/score?brightness=inf", None, "which is no number"),
    ],
)
def test_a_frame_that_cannot_be_scored_is_refused_with_the_reason(app, image, address, body, why, tmp_path):
    status, told = asked(app, "POST", address, image if body is None else body)
    assert status == 422
    assert why in told["refused"]
    assert str(tmp_path) not in told["refused"]
    assert not list(tmp_path.iterdir())


def test_a_small_frame_is_refused(app, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.png"
    write_png(path, frame[:40])
    status, told = asked(app, "POST", "/score", path.read_bytes())
    assert status == 422
    assert told["refused"].startswith("a frame of 128 x 40 pixels is smaller than a tile of 64")


def test_a_bad_batch_is_refused_and_the_frame_named(app, image):
    def refused(body):
        status, told = asked(app, "POST", "/score/batch", body, JSON)
        assert status == 422
        return told["refused"]

    assert refused(batch((image, {}), (b"nothing", {}))).startswith("frames[1]: is no PNG")
    assert "at least 1 item" in refused(batch())
    assert f"at most {MOST_FRAMES} items" in refused(batch(*[(b"", {})] * (MOST_FRAMES + 1)))
    assert "not JSON" in refused(b"{") or "JSON" in refused(b"{")
    assert "body.frames.0.image" in refused(b'{"frames": [{"image": "abcde"}]}')
    assert "Extra inputs" in refused(b'{"frames": [{"image": "", "control": {}}]}')
    assert "finite" in refused(b'{"frames": [{"image": "", "controls": {"focus": NaN}}]}')


def test_other_addresses_and_methods_are_refused_in_json(app):
    assert asked(app, "GET", "/nowhere") == (404, {"refused": "Not Found"})
    assert asked(app, "GET", "/score") == (405, {"refused": "Method Not Allowed"})


def test_health_tells_which_model_answers(app):
    status, told = asked(app, "GET", "/health")
    assert status == 200
    assert told == {
        "status": "ok", "model_version": 7, "architecture": "pacf", "control_parameters": NAMES,
        "score_range": [0.0, 10.0], "smallest_side": 64, "trained_on": "measured",
        "engine": "folded, float32",
    }  # fmt: skip


def test_the_description_names_the_control_parameters_and_the_page_needs_no_network(app):
    status, told = asked(app, "GET", "/openapi.json")
    assert status == 200
    assert told["openapi"].startswith("3.0")
    assert [each["name"] for each in told["paths"]["/score"]["post"]["parameters"]] == NAMES
    assert "image/tiff" in told["paths"]["/score"]["post"]["requestBody"]["content"]
    page = ask(app, "GET", "/docs").body.decode()
    assert "http://" not in page
    assert "https://" not in page
    assert ask(app, "GET", "/page/swagger-ui-bundle.js").status == 200


def test_who_waits_too_long_is_told_that_the_server_is_busy(desk, image, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(Desk, "score", lambda *given: release.wait(5))
    try:
        start = time.monotonic()
        status, told = asked(application(desk, 7, 0.1, "0.1.0"), "POST", "/score", image)
        assert (status, told) == (503, {"refused": "the server is busy; try again"})
        assert time.monotonic() - start < 4
    finally:
        release.set()


@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_a_request_that_does_not_arrive_is_given_up(desk, path):
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]
    status, told = asked(application(desk, 7, 0.2, "0.1.0"), "POST", path, parts, JSON)
    assert (status, told) == (408, {"refused": "the request did not arrive in time"})


@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_a_request_that_breaks_off_is_no_fault_of_the_server(app, path):
    parts = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert asked(app, "POST", path, parts, JSON)[0] == 400


def test_the_first_frame_decides_on_the_engine_unless_one_is_named(scorer, tmp_path, image, monkeypatch):
    raced = []
    monkeypatch.setattr(
        Scorer, "on_fastest", lambda self, frame: raced.append(frame.shape) or self.on("folded")
    )
    monkeypatch.setattr(Scorer, "for_frames", lambda self, count: None)
    automatic = Desk(scorer, tmp_path)
    assert [automatic.score(image, {}).engine for _ in range(3)] == [
        "eager, float32",
        *["folded, float32"] * 2,
    ]
    assert raced == [(96, 128)]
    assert Desk(scorer, tmp_path, "folded").score(image, {}).engine == "folded, float32"
    assert len(raced) == 1


# Who is let in


def test_with_a_token_nobody_else_is_let_in(app, image):
    closed = guarded(app, 10**6, "a-token-of-ours-0123")
    right = {"authorization": "Bearer a-token-of-ours-0123", "host": "microscope:8000"}
    assert asked(closed, "POST", "/score", image, right)[0] == 200
    assert asked(closed, "GET", "/health", headers=right)[0] == 200
    for wrong in ({}, {"authorization": "Bearer a-token-of-ours-012"}, {"authorization": "Basic \xe9"}):
        assert asked(closed, "GET", "/health", headers=wrong)[0] == 401
        assert asked(closed, "POST", "/score", image, wrong)[0] == 401


def test_a_large_request_is_refused_before_it_is_read(app, image):
    status, told = asked(guarded(app, 100, None), "POST", "/score", image)
    assert (status, told) == (413, {"refused": "a request may have 100 bytes"})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "localhost"])
def test_other_addresses_want_a_token(scorer, host):
    with pytest.raises(ConfigError, match="lets others in: give them a token by --token-file"):
        serve(scorer, 1, ServerSettings(host=host), "0.1.0", lambda address: None)


def test_a_short_token_is_refused(scorer):
    with pytest.raises(ConfigError, match="the token has under 16 characters"):
        serve(scorer, 1, ServerSettings(token="secret"), "0.1.0", lambda address: None)


def test_a_large_request_below_the_limit_reaches_the_reader(app):
    status, told = asked(app, "POST", "/score", b"\x89PNG\r\n\x1a\n" + bytes(20_000_000))
    assert status == 422
    assert "image" in told["refused"]
    status, told = asked(app, "POST", "/score/batch", batch((bytes(15_000_000), {})), JSON)
    assert status == 422
    assert told["refused"].startswith("frames[0]: ")


# Whatever is sent

_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_frame = st.fixed_dictionaries(
    {},
    optional={"image": st.text(max_size=12) | _json, "controls": st.dictionaries(st.text(), _json) | _json},
)
_bodies = st.binary(max_size=64) | (
    st.fixed_dictionaries({"frames": st.lists(_frame, max_size=3) | _json}) | _json
).map(lambda value: json.dumps(value).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_bodies)
def test_whatever_batch_is_sent_it_is_refused_with_a_reason(app, body):
    status, told = asked(app, "POST", "/score/batch", body, JSON)
    assert status in (400, 422)
    assert set(told) == {"refused"}
    assert told["refused"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8"), max_size=20), st.text(st.characters(codec="utf-8"), max_size=20))
def test_whatever_control_parameters_are_sent_the_answer_is_json(app, image, name, value):
    status, told = asked(app, "POST", f"/score?{urlencode({name: value})}", image)
    assert status in (200, 422)
    assert ("score" in told) == (status == 200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 10**6))
def test_whatever_is_left_of_a_frame_the_answer_is_json(app, image, changes, length):
    body = bytearray(image)
    for place, value in changes:
        body[place % len(body)] = value
    status, told = asked(app, "POST", "/score", bytes(body[: length % (2 * len(body))]))
    assert status in (200, 422)
    assert ("score" in told) == (status == 200)
