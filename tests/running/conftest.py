"""A command of the project as a process of its own, that a test can watch and interrupt."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.projects import environment


class Started:
    """A running ``evalaid``: a test waits for what it does, never for a number of seconds."""

    def __init__(self, folder, *arguments, **variables):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evalaid", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
            preexec_fn=interruptible if os.name == "posix" else None,  # noqa: PLW1509
        )

    @property
    def pid(self):
        return self._process.pid

    def wait_until(self, happened):
        """Return when something has happened; it never will when the process has ended before."""
        while not happened():
            assert self._process.poll() is None, self._process.communicate()
            time.sleep(0.05)

    def send(self, number):
        """Send a signal, wait for the end, and return the exit code and what was written to standard error, in one line."""
        self._process.send_signal(number)
        return self.end()

    def end(self):
        """Wait for the end and return the exit code and what was written to standard error, in one line."""
        complained = self._process.communicate()[1]
        return self._process.returncode, " ".join(complained.split())

    def kill(self):
        """Kill the process if it is still there."""
        self._process.kill()
        self._process.communicate()


def interruptible():
    """A process that was started by ``nohup`` or ``&`` ignores Ctrl-C or the end of its terminal, and so do its children."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start():
    """Start ``evalaid`` in a folder; what is left of it at the end of the test is killed."""
    processes = []

    def start(folder, *arguments, **variables):
        processes.append(Started(folder, *arguments, **variables))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
