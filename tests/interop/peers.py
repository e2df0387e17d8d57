"""What the conversations with other programs share: our examples, waiting, and peers that are not installed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIMIT = 30  # seconds until a conversation counts as hung


class Skip(Exception):
    """A peer that is not installed."""


ROWS = []  # the result of each conversation


def row(name, conversation, *arguments):
    """Prints the result of a conversation; its return value is a note."""
    try:
        outcome = ("ok", conversation(*arguments) or "")
    except Skip as skip:
        outcome = ("skipped", str(skip))
    except Exception as error:  # the other conversations still run
        outcome = ("FAILED", f"{type(error).__name__}: {error}")
    ROWS.append(outcome[0])
    print(f"{name:44} {outcome[0]:8} {outcome[1]}".rstrip(), flush=True)


def chosen(*peers):
    """Those named on the command line, by default all."""
    return [peer for peer in peers if not sys.argv[1:] or peer.__name__ in sys.argv[1:]]


def exit_by_rows():
    sys.exit(1 if "FAILED" in ROWS else 0)


def examples():
    metadata = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], capture_output=True, check=True)
    return os.path.join(json.loads(metadata.stdout)["target_directory"], "release", "examples")


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/games"):
            raise Skip(f"{program} is not installed")


def check(good, what):
    if not good:
        raise AssertionError(what)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        check(time.monotonic() < end, f"{what} did not come")
        time.sleep(0.02)  # between two checks of another process


def accepts(port):
    def look():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
    return look


@contextlib.contextmanager
def example(name, *arguments, **options):
    """One of our examples, with its output in a file; interrupted at the end. The options are those of `Popen`."""
    said = []
    with tempfile.TemporaryFile("w+") as output:
        command = [os.path.join(examples(), name), *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)

        def text():
            return said[0] if said else os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace")

        try:
            yield process, text
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
            said.append(text())


@contextlib.contextmanager
def listening(name, *arguments):
    with example(name, *arguments) as (process, text):
        wait_for(lambda: "listening on" in text() or process.poll() is not None, f"the start of {name}")
        check(process.poll() is None, text())
        yield int(re.search(r"listening on \S+:(\d+)", text())[1]), text
