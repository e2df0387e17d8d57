"""The example http2_server with other clients; see `run`.

Names: h2spec (147 cases of RFC 9113 and RFC 7541), h2load, curl.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from peers import LIMIT, Skip, check, chosen, example, exit_by_rows, need, row, wait_for

BODY = hashlib.shake_128(b"seed").digest(3 << 20)
# Built by `run --install` if there is a Go toolchain.
H2SPEC = "target/interop/bin/h2spec"


class Server:
    def __init__(self, secure, plain):
        self.ports = {"tls": secure, "plain": plain}
        self.base = {"tls": f"https://127.0.0.1:{secure}", "plain": f"http://127.0.0.1:{plain}"}


@contextlib.contextmanager
def server():
    with example("http2_server", "127.0.0.1:0", "127.0.0.1:0") as (process, text):
        wait_for(lambda: "listening on" in text() or process.poll() is not None, "the start of http2_server")
        check(process.poll() is None, text())
        yield Server(*(int(port) for port in re.findall(r" on \S+:(\d+)", text())[:2]))


def run(*arguments, **more):
    done = subprocess.run(arguments, capture_output=True, timeout=10 * LIMIT, **more)
    check(done.returncode == 0, f"exit {done.returncode}: {(done.stderr + done.stdout)[-500:].decode(errors='replace')}")
    return done.stdout


def h2spec(server):
    row("h2spec, strict, with TLS", h2spec_of, server.ports["tls"], ["-t", "-k"], [])
    # Anything but the preface is HTTP/1.1 on this port, which answers 400 and closes.
    row("h2spec, strict, prior knowledge", h2spec_of, server.ports["plain"], [], ["Sends invalid connection preface"])


def h2spec_of(port, options, but):
    program = H2SPEC if os.path.exists(H2SPEC) else shutil.which("h2spec")
    if not program:
        raise Skip("h2spec is not installed")
    command = [program, "-S", "-h", "127.0.0.1", "-p", str(port), *options]
    said = subprocess.run(command, capture_output=True, timeout=10 * LIMIT, text=True).stdout
    failures = re.findall(r"× \d+: (.*)", said.partition("Failures:")[2])
    check(sorted(failures) == sorted(but), f"{failures}\n{said[-3000:]}")
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", said)
    check(counts and int(counts[1]) >= 140 and int(counts[3]) == 0, said[-500:])
    return counts[0]


def h2load(server):
    for scheme, base in server.base.items():
        row(f"h2load, 8 connections, 32 streams each, {scheme}", h2load_of, 4000, "-c", "8", "-m", "32", base + "/")
        with tempfile.NamedTemporaryFile() as file:
            file.write(BODY)
            file.flush()
            row(f"h2load, 3 MiB there and back, {scheme}", h2load_of, 16, "-c", "4", "-m", "4", "-d", file.name, base + "/echo")


def h2load_of(count, *arguments):
    need("h2load")
    said = run("h2load", "-n", str(count), *arguments).decode()
    check(f"{count} succeeded, 0 failed, 0 errored" in said, said)
    check("-d" not in arguments or f"({count * len(BODY)}) data" in said, said)


def curl(server):
    for scheme, options, version in (
        ("plain", ["--http2-prior-knowledge"], "HTTP/2.0"),
        ("plain", ["--http2"], "HTTP/1.1"),  # requests an Upgrade that RFC 9113 has removed; the answer is HTTP/1.1
        ("plain", [], "HTTP/1.1"),
        ("tls", ["--http2"], "HTTP/2.0"),
        ("tls", ["--http1.1"], "HTTP/1.1"),
    ):
        row(f"curl {' '.join(options)}, {scheme}", curl_of, server.base[scheme], options, version)


def curl_of(base, options, version):
    need("curl")
    said = run("curl", "-sSk", "--fail", *options, base + "/").decode()
    check(said.startswith(version), said)
    echo = run("curl", "-sSk", "--fail", *options, "-T", "-", base + "/echo", input=BODY)
    check(echo == BODY, f"{len(echo)} bytes came back of {len(BODY)}")
    return said.strip()


def main():
    peers = chosen(h2spec, h2load, curl)
    if peers:
        with server() as there:
            for peer in peers:
                peer(there)
    exit_by_rows()


if __name__ == "__main__":
    main()
