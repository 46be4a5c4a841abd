"""Several hosts on one machine: namespaces joined by a bridge, which can be killed, cut off and added.

A host has a network, a name, processes, /tmp, /dev/shm and a home of its own; it shares with the others the
machine's disk, this checkout and one folder. Nothing of it has a name outside or stays behind: its first
process reads a pipe that this process holds, and when that closes, however this process ends, the kernel
ends all processes of the host, and with the last of them goes its network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOME = "/tmp/home"
"""Home of a host's user, on the host's own /tmp."""
CHECKOUT = Path(__file__).parents[2]
_TOOLS = ("ip", "unshare", "nsenter", "mount", "hostname")
_HIDDEN = ("RAY_", "SEMTUNE_", "MLFLOW_", "AWS_", "PYTEST_")
# 198.18.0.0/15 is reserved for tests of networks; each process that tests has one of its 512 parts.
_SUBNET = f"198.{18 + os.getpid() % 2}.{os.getpid() // 2 % 256}"
_WAIT = "trap '' CHLD; echo up; exec cat"  # orphans are its children; ignored, they leave no zombies
_SWITCH = f"ip link set lo up; ip link add name bridge up type bridge; {_WAIT}"
_HOST = """
hostname {name}
mount --bind {names} /etc/hosts
mount -t tmpfs tmpfs /media
mkdir /media/home
for seen in {seen}; do
    mkdir -p "/media/${{seen#/tmp/}}"
    mount --bind "$seen" "/media/${{seen#/tmp/}}"
done
mount --rbind /media /tmp
umount -l /media
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
"""


def why_not() -> str:
    """Why there can be no hosts here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts in namespaces need Linux and root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"hosts in namespaces need iproute2 and util-linux: there is no {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "-m", "-n", "-u", "-p", "-f", "--mount-proc", "sh", "-ec",
         "mount -t tmpfs tmpfs /media; ip link add name bridge type bridge; ip link add type veth"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass
class _Namespaces:
    """What `unshare` made; there until its first process ends."""

    unshare: subprocess.Popen
    first: str
    """Process id of the first process, as seen from here."""

    @classmethod
    def made(cls, script: str, *kinds: str) -> _Namespaces:
        """Run a script in new namespaces that says `up` and then reads its input to the end."""
        unshare = subprocess.Popen(
            ["unshare", *kinds, "--fork", "--kill-child", "sh", "-ec", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = unshare.stdout.readline()
        assert said == "up\n", script
        return cls(unshare, Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().strip())

    def end(self) -> None:
        self.unshare.kill()  # by --kill-child the first process too, and all others by the kernel
        self.unshare.wait()
        self.unshare.stdin.close()
        self.unshare.stdout.close()


@dataclass
class Host:
    """One host, up until it is killed."""

    name: str
    """Other hosts find it by its name too."""
    address: str
    _log: Path
    _inside: _Namespaces
    _port: list[str]
    _started: list[subprocess.Popen] = field(default_factory=list)

    @property
    def prefix(self) -> list[str]:
        """What a command line begins with to be run on the host, in /tmp, by a process outside of it."""
        return ["nsenter", "-t", self._inside.first, "-m", "-n", "-u", "-p", "--", "env", "-C", "/tmp"]

    def environment(self, **variables: object) -> dict[str, str]:
        """This process's environment without what speaks of Ray, MLflow or semtune, with what is given."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        given = {name: str(value) for name, value in variables.items()}
        return {**kept, "HOME": HOME, "PATH": path, "PYTHONPATH": str(CHECKOUT), **given}

    def start(self, *command: object, **variables: object) -> subprocess.Popen:
        """Start a command; what it says goes to the log. `end` ends it."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(**variables), start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *command: object, code: int | None = 0, timeout: float = 120, **variables: object) -> str:
        """Run a command to its end; returns what it said, complaints included.

        Args:
            command: Name and arguments.
            code: Exit status that it must have; None for any.
            timeout: Seconds that it may take.
            variables: Of the environment.
        """
        done = subprocess.run(
            [*self.prefix, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout,
            env=self.environment(**variables),
        )  # fmt: skip
        assert code in (None, done.returncode), f"{self.name}: {command}\n{done.stdout}"
        return done.stdout

    @property
    def log(self) -> str:
        """What the started commands have said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def processes(self) -> list[str]:
        """The command lines of all its processes; none once it was killed."""
        if self._inside.unshare.poll() is not None:
            return []
        kind, found = Path(f"/proc/{self._inside.first}/ns/pid").readlink(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "ns" / "pid").readlink() == kind:
                    found.append((folder / "cmdline").read_text().replace("\0", " ").strip())
            except OSError:  # it ended meanwhile
                continue
        return found

    def kill(self) -> None:
        """End all its processes at once; who is connected is told, unless the cable was pulled before."""
        self._inside.end()
        for process in self._started:
            process.wait()

    def cut(self) -> None:
        """Pull the cable: what is sent is lost, and nobody is told."""
        _run(*self._port, "down")

    def restore(self) -> None:
        """Put the cable back."""
        _run(*self._port, "up")


def end(process: subprocess.Popen, sign: int = signal.SIGTERM) -> None:
    """Send a signal to a started command and its children, and wait for its end."""
    if process.poll() is None:
        os.killpg(process.pid, sign)
    process.wait()


@dataclass
class Network:
    """A bridge and the hosts on it. This process has an address there too: `outside`."""

    folder: Path
    """Shared by hosts under this path; their logs are here."""
    _switch: _Namespaces
    _ends: ExitStack
    outside: str = f"{_SUBNET}.254"
    hosts: dict[str, Host] = field(default_factory=dict)

    def join(self, name: str, shares: bool = True) -> Host:
        """Start a host.

        Args:
            name: None had it before.
            shares: Whether it sees the folder.
        """
        address, port = f"{_SUBNET}.{len(self.hosts) + 1}", f"port{len(self.hosts) + 1}"
        names = self.folder / "names"
        with names.open("a") as file:
            file.write(f"{address} {name}\n")
        roots = [CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), *([self.folder] if shares else ())]
        seen = " ".join(f"'{root}'" for root in roots if root.is_relative_to("/tmp"))
        inside = _Namespaces.made(
            _HOST.format(name=name, seen=seen, names=f"'{names}'") + _WAIT,
            "--mount", "--net", "--uts", "--pid", "--mount-proc",
        )  # fmt: skip
        on_switch = ["nsenter", "-t", self._switch.first, "-n", "ip", "link", "set", port]
        host = Host(name, address, self.folder / f"{name}.log", inside, on_switch)
        self._ends.callback(host.kill)
        _wire(port, self._switch, "eth0", inside)
        _run(*on_switch, "master", "bridge", "up")
        host.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        self.hosts[name] = host
        return host


@contextmanager
def network(folder: Path, *names: str) -> Iterator[Network]:
    """A network of hosts that share a folder; nothing of it is there afterwards.

    Args:
        folder: Under the same path on every host, and here.
        names: Of the hosts; more can join.
    """
    with ExitStack() as ends:
        switch = _Namespaces.made(_SWITCH, "--net")
        ends.callback(switch.end)
        here = f"semtune{os.getpid()}"  # 15 characters at most
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", "port0", "netns", switch.first)
        ends.callback(_run, "ip", "link", "del", here)  # the kernel would do it, but later
        _run("nsenter", "-t", switch.first, "-n", "ip", "link", "set", "port0", "master", "bridge", "up")
        _run("ip", "addr", "add", f"{_SUBNET}.254/24", "dev", here)
        _run("ip", "link", "set", here, "up")
        (folder / "names").write_text("127.0.0.1 localhost\n")
        made = Network(folder, switch, ends)
        for name in names:
            made.join(name)
        yield made


def _wire(port: str, switch: _Namespaces, plug: str, host: _Namespaces) -> None:
    _run(
        "ip", "link", "add", port, "netns", switch.first,
        "type", "veth", "peer", "name", plug, "netns", host.first,
    )  # fmt: skip


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=10)
