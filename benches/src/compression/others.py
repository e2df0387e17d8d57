"""The rows of other programs in `compression table`: ssh -C and nginx's gzip. The first argument is a folder with a file of messages for
each name that follows (each message after its length in four bytes).

Each message, or 16 at a time, is sent when the previous ones have arrived. Counted are the bytes that the program sends towards the
reader, and its process's processor time (Linux). Everything is on loopback, in a temporary folder, and run by `nobody` if we are root.
Programs that are not installed are skipped with a message.
"""

import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

LIMIT = 30
USER = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"


def run(*command, wait=False):
    start = subprocess.run if wait else subprocess.Popen
    as_user = {} if os.getuid() else {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}
    quiet = subprocess.DEVNULL
    return start(command, stdin=quiet, stdout=quiet, stderr=quiet, **as_user)


def seconds(process):
    """The processor time of a process."""
    total = 0
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def connect(port):
    """Connects as soon as a server listens."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), LIMIT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class Counted:
    """Forwards connections to a port, and counts the bytes sent to the target."""

    def __init__(self, target):
        self.bytes = 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, args=(target,), daemon=True).start()

    def accept(self, target):
        while True:
            near = self.server.accept()[0]
            far = connect(target)
            threading.Thread(target=self.pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, False), daemon=True).start()

    def pump(self, source, target, counted):
        try:
            while data := source.recv(65536):
                self.bytes += len(data) if counted else 0
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def turns(messages, turn):
    return [b"".join(messages[at:at + turn]) for at in range(0, len(messages), turn)]


class Ssh:
    """A forwarded port of ssh, with or without -C; its sshd is our own."""

    def __init__(self, folder, compresses):
        for name in ("host", "user"):
            if not os.path.exists(f"{folder}/{name}"):
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}", wait=True)
        port = free_port()
        with open(f"{folder}/sshd_config", "w") as file:
            file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
                       f"PidFile none\nUsePAM yes\nStrictModes no\nCompression yes\n")
        self.sshd = run("/usr/sbin/sshd", "-D", "-f", f"{folder}/sshd_config")
        self.sink = socket.create_server(("127.0.0.1", 0))
        self.counted = Counted(port)
        local = free_port()
        self.ssh = run("ssh", "-F", "none", "-i", f"{folder}/user", "-o", "StrictHostKeyChecking=no", "-o",
                       "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-N", *(["-C"] if compresses else []),
                       "-L", f"{local}:127.0.0.1:{self.sink.getsockname()[1]}", "-p", str(self.counted.port), f"{USER}@127.0.0.1")
        self.local = local

    def begin(self):
        self.writer = connect(self.local)
        self.reader = self.sink.accept()[0]
        self.exchange(b"ready\n")

    def exchange(self, data):
        self.writer.sendall(data)
        left = len(data)
        while left:
            left -= len(self.reader.recv(left))

    def measure(self, messages, turn):
        bytes_before, before = self.counted.bytes, seconds(self.ssh)
        for data in turns(messages, turn):
            self.exchange(data)
        return self.counted.bytes - bytes_before, seconds(self.ssh) - before

    def close(self):
        for process in (self.ssh, self.sshd):
            process.terminate()
            process.wait()


class Nginx:
    """A proxy that compresses a body as it arrives, for a client that inflates it."""

    def __init__(self, folder, level):
        self.upstream = socket.create_server(("127.0.0.1", 0))
        self.port = free_port()
        paths = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{folder}/nginx.conf", "w") as file:
            file.write(f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/log;
events {{}}
http {{
  access_log off; {paths}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      proxy_pass http://127.0.0.1:{self.upstream.getsockname()[1]}; proxy_buffering off;
      gzip on; gzip_comp_level {level}; gzip_min_length 0; gzip_types *;
    }}
  }}
}}
""")
        self.nginx = run("/usr/sbin/nginx", "-p", folder, "-c", f"{folder}/nginx.conf")

    def begin(self):
        connect(self.port).close()

    def measure(self, messages, turn):
        client = connect(self.port)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        upstream = self.upstream.accept()[0]
        upstream.recv(65536)
        upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        wire = Chunks(client)
        before = seconds(self.nginx)
        for data in turns(messages, turn):
            upstream.sendall(data)
            wire.inflate(len(data))
        spent = seconds(self.nginx) - before
        upstream.close()
        client.close()
        return wire.bytes, spent

    def close(self):
        self.nginx.terminate()
        self.nginx.wait()


class Chunks:
    """A chunked gzip body; all of its bytes are counted, including chunk headers."""

    def __init__(self, connection):
        self.file = connection.makefile("rb")
        self.decoder = zlib.decompressobj(31)
        self.bytes = 0
        self.begun = False

    def inflate(self, length):
        while not self.begun and self.file.readline() != b"\r\n":
            pass
        self.begun = True
        while length > 0:
            head = self.file.readline()
            body = self.file.read(int(head, 16) + 2)
            self.bytes += len(head) + len(body)
            length -= len(self.decoder.decompress(body[:-2]))


def row(name, program, make, kinds):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if not path:
        print(f"skipped: {program} is not installed")
        return
    folder = tempfile.mkdtemp(prefix="torsade-table-")
    shutil.chown(folder, USER)
    peer = make(folder)
    try:
        peer.begin()
        cells = []
        for messages in kinds:
            for turn in (1, 16):
                wire, spent = peer.measure(messages, turn)
                cells.append(f"{wire / len(messages):.0f} B {1e6 * spent / len(messages):.1f} us")
            cells.append("")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    finally:
        peer.close()
        shutil.rmtree(folder)


def messages_of(path):
    with open(path, "rb") as file:
        data = file.read()
    messages, at = [], 0
    while at < len(data):
        length, = struct.unpack_from(">I", data, at)
        messages.append(data[at + 4:at + 4 + length])
        at += 4 + length
    return messages


def main():
    if not os.path.exists("/proc/self/schedstat"):
        print("skipped: programs of others, without /proc/PID/schedstat")
        return
    kinds = [messages_of(os.path.join(sys.argv[1], name)) for name in sys.argv[2:]]
    row("ssh", "sshd", lambda folder: Ssh(folder, False), kinds)
    row("ssh -C", "sshd", lambda folder: Ssh(folder, True), kinds)
    row("nginx, gzip level 1", "nginx", lambda folder: Nginx(folder, 1), kinds)
    row("nginx, gzip level 6", "nginx", lambda folder: Nginx(folder, 6), kinds)


if __name__ == "__main__":
    main()
