"""Who may speak to Ray: whoever has the token, and on a cluster of our own nobody from another machine."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ray._private import ray_constants

from semtune.errors import SearchError


def guard(local: bool) -> None:
    """See to it that Ray asks for its token, and that a cluster of our own is heard on loopback alone.

    Ray binds its ports to the address of its node, and that is 127.0.0.1 only on a machine that Ray takes for
    one that cannot be in a cluster; see decision 0017.

    Raises:
        SearchError: If the environment switches the token off.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        raise SearchError(
            "RAY_AUTH_MODE switches Ray's token off, and then whoever reaches its ports can run code here; "
            "unset it, or set RAY_AUTH_MODE=token"
        )
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0" if local else "1"  # Ray's processes read it
    ray_constants.ENABLE_RAY_CLUSTER = not local  # this one has read it already
    keep_token(Path.home() / ".ray" / "auth_token", make=local)


def keep_token(token: Path, make: bool) -> None:
    """Keep the cluster's token from other users of this machine; Ray would write it as the umask allows.

    Args:
        token: Where Ray looks for it, a file in a folder of its own.
        make: Whether to make one where there is none, unless the environment names another.

    Raises:
        SearchError: If it cannot be written.
    """
    beside = token.with_name(f".{token.name}.{os.getpid()}.part")
    named = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    try:
        if make and not named:
            token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.touch(0o600)
            beside.write_text(secrets.token_hex(32), "ascii")
            with suppress(FileExistsError):
                token.hardlink_to(beside)  # whole or not at all, and never over another's
            beside.unlink()
        if token.exists():
            token.parent.chmod(0o700)
            token.chmod(0o600)
    except OSError as error:
        raise SearchError(f"{token}: Ray's token cannot be kept ({error.strerror}); check HOME") from error
