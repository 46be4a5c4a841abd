"""The batch script for Slurm on two hosts: told of its time limit, queued again, brought to its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_small_dataset
from hosts import network, why_not
from mlflow_server import free_port
from place import until

from semtune.journal import read_events, read_record
from semtune.workspace import Workspace

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm" / "semtune.sbatch"
SPACE = "architecture: pacf\nbatch_size: 4\ncrop: 64\nepochs: 30\ntrials: 4\nscheduler: none\nseeds: 1\n"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "hosts can be made")]


class Job:
    """A job that Slurm starts, signals, and starts again under the same number."""

    def __init__(self, folder, made):
        self.folder, self.log = folder, folder / "job.log"
        programs = folder / "programs"
        programs.mkdir()
        for name in ("srun", "scontrol"):
            program = programs / name
            program.write_text(f"#!{sys.executable}\n{Path(__file__).with_name('fake_slurm.py').read_text()}")
            program.chmod(0o755)
        (folder / "nodes.json").write_text(json.dumps({n: host.prefix for n, host in made.hosts.items()}))
        host = next(iter(made.hosts.values()))
        self.environment = host.environment(
            FAKE_SLURM=folder / "nodes.json",
            SLURM_JOB_ID=os.getpid(),
            SLURM_JOB_NODELIST=",".join(made.hosts),
            SLURM_CPUS_PER_TASK=1,
            WORKSPACE=folder / "workspace",
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}",  # away: the journal keeps what it misses
        )
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"

    def start(self):
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["bash", SCRIPT, "night", self.folder / "space.yaml", self.folder / "frames"],
                env=self.environment, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def said(self):
        return self.log.read_text(errors="replace")


def test_a_job_is_interrupted_before_its_limit_and_goes_on_when_it_is_queued_again(tmp_path):
    write_small_dataset(tmp_path / "frames")
    (tmp_path / "space.yaml").write_text(SPACE)
    folder = Workspace(tmp_path / "workspace").search("night")

    def epochs():
        return sum(len(trial.epochs) for trial in read_record(folder.journal).trials.values())

    with network(tmp_path, "one", "two") as made:
        job = Job(tmp_path, made)
        first = job.start()
        until(lambda: first.poll() is not None or (folder.journal.exists() and epochs() >= 3), 120)
        first.send_signal(signal.SIGUSR1)
        assert first.wait(90) == 0, job.said()
        assert (tmp_path / "requeued").read_text() == str(os.getpid())
        middle = read_record(folder.journal)
        assert middle.closed.state == "interrupted"
        assert 3 <= epochs() < 4 * 30
        until(lambda: not any("raylet" in host.run("ps", "-A") for host in made.hosts.values()))

        (tmp_path / "requeued").unlink()
        assert job.start().wait(120) == 0, job.said()
        end = read_record(folder.journal)
    assert not (tmp_path / "requeued").exists()
    assert end.closed.state == "finished"
    assert [len(trial.epochs) for trial in end.trials.values()] == [30] * 4
    assert (tmp_path / "workspace" / "ray_token").stat().st_mode & 0o777 == 0o600
    hosts = {event.host for event, _ in read_events(folder.journal) if event.event == "trial_at_work"}
    assert hosts == {host.address for host in made.hosts.values()}
    assert "a search can start here" in job.said()  # the doctor looked first
