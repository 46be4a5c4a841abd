"""A whole small search in a network that leads nowhere: it ends, listens on loopback, and calls nobody."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_small_dataset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (
            sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ss") and shutil.which("unshare")
        ),
        reason="needs Linux, root, iproute2 and util-linux",
    ),
]
SPACE = "architecture: pacf\nbatch_size: 4\ncrop: 64\nepochs: 2\ntrials: 2\n"
WATCHED = """
ip link set lo up
ip link add out type veth peer name nowhere
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip addr add 192.0.2.1/24 dev out
ip link set out up
ip link set nowhere up
ip route add default dev out
({command}; echo $? > {folder}/code) > {folder}/said 2>&1 &
search=$!
while kill -0 $search 2> /dev/null; do
    ss -Htln >> {folder}/listening
    ss -Htuna state connected >> {folder}/connected
    sleep 0.1
done
cat /proc/net/dev > {folder}/interfaces
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A search in a network namespace where all that leaves loopback is counted and dropped."""
    folder = tmp_path_factory.mktemp("watched")
    write_small_dataset(folder / "data")
    (folder / "space.yaml").write_text(SPACE)
    (folder / "home").mkdir()
    command = (
        f"{sys.executable} -m semtune --workspace {folder}/workspace search {folder}/space.yaml "
        f"--data {folder}/data --name lonely"
    )
    script = folder / "watch.sh"
    script.write_text(WATCHED.format(command=command, folder=folder))
    hidden = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "MLFLOW_TRACKING_URI"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    subprocess.run(
        ["unshare", "-n", "bash", str(script)],
        env={**kept, "HOME": str(folder / "home")},
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=240,
    )
    return folder


def lines(file):
    return [line.split() for line in file.read_text().splitlines()]


def is_loopback(address):
    return (
        re.match(r"(127\.\d+\.\d+\.\d+|\[::ffff:127\.\d+\.\d+\.\d+\]|\[::1\])(%\w+)?:", address) is not None
    )


def test_the_search_finishes_without_a_network(watched):
    assert (watched / "code").read_text().strip() == "0", (watched / "said").read_text()
    assert "finished" in (watched / "said").read_text()


def test_every_port_of_the_search_is_on_loopback(watched):
    places = {line[3] for line in lines(watched / "listening")}
    assert places  # Ray listens
    assert [place for place in sorted(places) if not is_loopback(place)] == []


def test_every_connection_stays_on_loopback(watched):
    ends = {end for line in lines(watched / "connected") for end in line[4:6]}
    assert ends
    assert [end for end in sorted(ends) if not is_loopback(end)] == []


def test_no_packet_is_sent_anywhere_else(watched):
    (out,) = [line for line in lines(watched / "interfaces") if line[0] == "out:"]
    assert int(out[10]) == 0  # packets; those of names that somebody looks up count too


def test_the_token_is_for_the_user_alone(watched):
    token = watched / "home" / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
