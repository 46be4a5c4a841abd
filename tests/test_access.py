"""Ray's token is the user's alone, and nothing of ours loads a pickle or an unsafe YAML."""

import ast
import os
import pickle
import socket
import stat
from pathlib import Path

import numpy as np
import pytest

from semtune.environment import quiet_environment
from semtune.errors import SearchError, TrackingError
from semtune.tracking.store import open_store, shown, told
from semtune.training.checkpoint import read_weights
from semtune.training.samples import read_samples
from semtune.workspace import Workspace

PACKAGE = Path(__file__).parents[1] / "semtune"
UNSAFE = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "eval", "exec",
    "torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
    "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader",
}  # fmt: skip


def dotted(node):
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_no_module_can_load_a_pickle_or_unsafe_yaml(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & UNSAFE
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in UNSAFE
        elif isinstance(node, ast.Attribute | ast.Name):
            assert dotted(node) not in UNSAFE
        elif isinstance(node, ast.Call) and dotted(node.func) == "np.load":
            (allow,) = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            assert isinstance(allow, ast.Constant)
            assert allow.value is False


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_in_place_of_samples_or_weights_is_refused_and_never_run(tmp_path):
    trap = Trap(tmp_path / "mark")
    (tmp_path / "samples.npz").write_bytes(pickle.dumps(trap))
    with pytest.raises(SearchError, match="samples are damaged"):
        read_samples(tmp_path / "samples.npz")
    np.savez(tmp_path / "samples.npz", frames=np.array([trap], dtype=object))
    with pytest.raises(SearchError, match="samples are damaged"):
        read_samples(tmp_path / "samples.npz")
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(trap))
    with pytest.raises(SearchError, match="not a readable safetensors file"):
        read_weights(tmp_path / "weights.safetensors")
    assert not trap.mark.exists()


@pytest.fixture
def keep_token(monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    quiet_environment()
    from semtune.search.access import keep_token

    return keep_token


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_is_made_for_the_user_alone_whatever_the_umask(tmp_path, keep_token):
    before = os.umask(0)
    try:
        keep_token(tmp_path / ".ray" / "auth_token", make=True)
    finally:
        os.umask(before)
    token = tmp_path / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]


def test_a_token_that_is_there_is_kept_and_closed(tmp_path, keep_token):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o755)
    token.write_text("mine")
    token.chmod(0o644)
    keep_token(token, make=True)
    assert (token.read_text(), mode(token)) == ("mine", 0o600)


def test_no_token_is_made_for_a_cluster_that_has_its_own(tmp_path, keep_token):
    keep_token(tmp_path / ".ray" / "auth_token", make=False)
    assert not (tmp_path / ".ray").exists()


def test_a_cluster_without_token_is_refused(monkeypatch):
    quiet_environment()
    from semtune.search.access import guard

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(SearchError, match="unset it, or set RAY_AUTH_MODE=token"):
        guard(local=True)


@pytest.mark.parametrize(
    "uri",
    [
        "http://ann:s3cret@host:1/x",
        "postgresql://ann:s3cret@host/db",
        "postgresql://ann:s3/cr@et@host/db",
        "http://ann:s3 cret@host",
        "postgresql://host/db?user=ann&password=s3cret",
        "mysql+pymysql://ann:s3#cret?@host/db",
    ],
)
def test_no_part_of_a_password_is_shown(uri):
    assert "cr" not in shown(f"cannot connect to {uri} now")


def test_a_store_that_cannot_be_used_is_told_without_its_password(tmp_path):
    uri = "postgresql://ann:s3cret@localhost:1/db"
    with pytest.raises(TrackingError, match="MLflow store") as error, told(uri, "correct it"):
        raise OSError(f"no route to {uri}")
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    with pytest.raises(TrackingError, match="MLflow store") as error:
        open_store(Workspace(tmp_path), "nonsense://ann:s3cret@host")
    assert "s3cret" not in str(error.value)


def test_the_page_answers_to_the_names_of_the_address_that_it_listens_on():
    from semtune.tracking.ui import allowed_hosts

    own = ["127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[::1]", "[[]::1]:*"]
    assert allowed_hosts("127.0.0.1") == own
    assert allowed_hosts("192.0.2.7") == [*own, "192.0.2.7", "192.0.2.7:*"]
    assert allowed_hosts("2001:db8::7") == [*own, "[2001:db8::7]", "[[]2001:db8::7]:*"]
    assert socket.gethostname() in allowed_hosts("0.0.0.0")
