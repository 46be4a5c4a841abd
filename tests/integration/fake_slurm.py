"""What a batch script asks of Slurm, served by hosts in namespaces: run as `srun`, or as `scontrol`.

Not a test: a program, linked under both names. FAKE_SLURM names a JSON file: the name of each node, and what
a command line begins with to be run there.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

VALUED = ("--nodelist", "--nodes", "--ntasks")
BARE = ("--overlap",)


def srun(arguments, hosts):
    """Run a command once on each of the named nodes, hand SIGTERM on to it, end with its worst status."""
    given = {}
    while arguments[0].startswith("--"):
        option, _, value = arguments.pop(0).partition("=")
        assert option in (VALUED if value else BARE), option
        given[option] = value
    nodes = given["--nodelist"].split(",")
    assert [given["--nodes"], given["--ntasks"]] == [str(len(nodes))] * 2, given
    steps = [subprocess.Popen([*hosts[node], *arguments]) for node in nodes]

    def hand_on(number, frame):
        for step in steps:  # to what runs on the host: who brought it there waits for its end
            for child in Path(f"/proc/{step.pid}/task/{step.pid}/children").read_text().split():
                os.kill(int(child), number)

    signal.signal(signal.SIGTERM, hand_on)
    return max(abs(step.wait()) for step in steps)


def scontrol(arguments, hosts):
    """Name the nodes of a list; note that a job is to be queued again."""
    match arguments:
        case ["show", "hostnames", nodes]:
            print("\n".join(nodes.split(",")))
        case ["requeue", job]:
            Path(os.environ["FAKE_SLURM"]).with_name("requeued").write_text(job)
        case _:
            return 1
    return 0


if __name__ == "__main__":
    serve = {"srun": srun, "scontrol": scontrol}[Path(sys.argv[0]).name]
    sys.exit(serve(sys.argv[1:], json.loads(Path(os.environ["FAKE_SLURM"]).read_text())))
