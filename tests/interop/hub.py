"""The example hub_lines on the same topics as Python clients, with real brokers; see `run`.

Names: redis (redis-py on redis-server), nats (nats-py on nats-server). Each program receives what the other publishes, live and kept,
and each reads what the other had kept before it subscribed.
"""

import asyncio
import contextlib
import importlib.util
import socket
import subprocess
import tempfile

from peers import LIMIT, Skip, check, chosen, example, exit_by_rows, free_port, need, row, wait_for

TEXT = "naïve ☃ text"
KEPT = 5  # messages kept before the subscription


@contextlib.contextmanager
def broker(*command, port, ready):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or ready(port), f"the start of {command[0]}")
        check(process.poll() is None, f"{command[0]} has ended")
        yield
    finally:
        process.kill()
        process.wait()


def library(name):
    if not importlib.util.find_spec(name):
        raise Skip(f"Python's {name} is not installed")
    return __import__(name)


class Lines:
    """The example: it publishes what is typed, and prints what it receives."""

    def __init__(self, process, text):
        self.process, self.text = process, text

    def publish(self, topic, text):
        self.process.stdin.write(f"{topic} {text}\n".encode())
        self.process.stdin.flush()

    def hears(self, line):
        wait_for(lambda: self.has(line), f"{line!r}")

    def has(self, line):
        check(self.process.poll() is None, self.text())
        return line in self.text().splitlines()


@contextlib.contextmanager
def lines(hub, *topics):
    with example("hub_lines", hub, *topics, stdin=subprocess.PIPE) as (process, text):
        wait_for(lambda: "(connected)" in text() or process.poll() is not None, "the start of hub_lines")
        check(process.poll() is None, text())
        yield Lines(process, text)
        process.stdin.close()


def answers_ping(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100).startswith(b"+PONG")


def greets(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        return connection.recv(100).startswith(b"INFO")


@contextlib.contextmanager
def redis_server():
    need("redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with broker("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", port=port, ready=answers_ping):
            yield port


@contextlib.contextmanager
def nats_server():
    need("nats-server")
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with broker("nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder, port=port, ready=greets):
            yield port


def redis():
    for version in (2, 3):
        row(f"redis-py, RESP{version}, live messages", redis_live, version)
        row(f"redis-py, RESP{version}, a topic that is kept", redis_kept, version)


def redis_client(port, version):
    return library("redis").Redis(port=port, protocol=version, socket_timeout=LIMIT)


def redis_live(version):
    with redis_server() as port, redis_client(port, version) as client, lines(f"redis://127.0.0.1:{port}", "news.*") as ours:
        with client.pubsub(ignore_subscribe_messages=False) as hears:
            hears.psubscribe("news.*")
            check(hears.get_message(timeout=LIMIT)["type"] == "psubscribe", "subscribed")
            until_heard(lambda: client.publish("news.start", "now"), ours, "news.start now")
            client.publish("news.today", TEXT)
            ours.hears(f"news.today {TEXT}")
            ours.publish("news.tomorrow", TEXT)
            while (message := hears.get_message(timeout=LIMIT)) and message["channel"] != b"news.tomorrow":
                pass
            check(message and message["data"] == TEXT.encode(), f"Python heard {message}")
    return "there and back"


def redis_kept(version):
    with redis_server() as port, redis_client(port, version) as client:
        for number in range(KEPT):
            client.xadd("log.a", {"payload": f"before {number}"})
        with lines(f"redis://127.0.0.1:{port}", "log.a") as ours:
            for number in range(KEPT):
                ours.hears(f"log.a before {number}")
            client.xadd("log.a", {"payload": TEXT, "Colour": "red"})
            client.xadd("log.a", {"whatever": "a single field"})
            ours.hears(f"log.a {TEXT}")
            ours.hears("log.a a single field")
            ours.publish("log.a", "from us")
            ours.hears("log.a from us")
            entries = [fields for _, fields in client.xrange("log.a")]
            check(len(entries) == KEPT + 3, f"{entries}")
            check(entries[-1][b"payload"] == b"from us" and entries[-1][b"Nats-Msg-Id"], f"{entries[-1]}")
            return f"{len(entries)} entries of a stream, in one order for both"


def nats():
    row("nats-py, live messages and headers", lambda: asyncio.run(nats_with(nats_live)))
    row("nats-py, a queue group of both", lambda: asyncio.run(nats_with(nats_group)))
    row("nats-py, a topic that is kept, of ours", lambda: asyncio.run(nats_with(nats_kept)))
    row("nats-py, a topic that is kept, of Python's", lambda: asyncio.run(nats_with(nats_kept_by_python)))


async def nats_with(conversation):
    library("nats")
    with nats_server() as port:
        client = await library("nats").connect(f"nats://127.0.0.1:{port}")
        try:
            return await asyncio.wait_for(conversation(client, f"nats://127.0.0.1:{port}"), 4 * LIMIT)
        finally:
            await client.close()


async def apart(call, *arguments):
    """What waits for our program, while Python's loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def nats_live(client, hub):
    heard = asyncio.Queue()
    await client.subscribe("news.>", cb=heard.put)
    with lines(hub, "news.*") as ours:
        await until_heard_by(client, "news.start", ours)
        await client.publish("news.today", TEXT.encode(), headers={"Colour": "red"})
        await apart(ours.hears, f"news.today {TEXT}")
        ours.publish("news.tomorrow", TEXT)
        while (message := await asyncio.wait_for(heard.get(), LIMIT)).subject != "news.tomorrow":
            pass
        check(message.data == TEXT.encode(), f"Python heard {message.data}")
    return "there and back"


async def nats_group(client, hub):
    """Each message goes to one of the two."""
    heard = []

    async def hear(message):
        heard.append(message.data.decode())

    await client.subscribe("work.load", queue="workers", cb=hear)
    with lines(hub, "work.load@workers", "work.end") as ours:
        await until_heard_by(client, "work.end", ours)
        said = [f"task {number}" for number in range(100)]
        for text in said:
            await client.publish("work.load", text.encode())
        await client.publish("work.end", b"end")
        await apart(ours.hears, "work.end end")
        theirs = [line.partition(" ")[2] for line in ours.text().splitlines() if line.startswith("work.load task")]
        check(sorted(heard + theirs) == sorted(said), f"Python got {len(heard)}, we got {len(theirs)} of {len(said)}")
        check(heard and theirs, f"Python got {len(heard)}, we got {len(theirs)}")
        return f"Python got {len(heard)}, we got {len(theirs)}"


async def nats_kept(client, hub):
    """The stream is ours; Python finds it by its subject."""
    with lines(hub, "log.a") as ours:
        for number in range(KEPT):
            ours.publish("log.a", f"before {number}")
            await apart(ours.hears, f"log.a before {number}")
        stream = client.jetstream()
        name = await stream.find_stream_name_by_subject("log.a")
        await stream.publish("log.a", TEXT.encode(), headers={"Colour": "red"})
        await apart(ours.hears, f"log.a {TEXT}")
        replay = await stream.subscribe("log.a", ordered_consumer=True)
        replayed = [(await replay.next_msg(timeout=LIMIT)).data.decode() for _ in range(KEPT + 1)]
        check(replayed == [f"before {number}" for number in range(KEPT)] + [TEXT], f"{replayed}")
        ours.publish("log.a", "from us")
        message = await replay.next_msg(timeout=LIMIT)
        check(message.data == b"from us" and message.headers.get("Nats-Msg-Id"), f"{message}")
        return f"{KEPT + 2} messages of the stream {name}, in one order for both"


async def nats_kept_by_python(client, hub):
    """The stream is Python's, under the name that a hub looks for."""
    stream = client.jetstream()
    await stream.add_stream(name="log_-b", subjects=["log.b"])
    for number in range(KEPT):
        await stream.publish("log.b", f"before {number}".encode())
    with lines(hub, "log.b") as ours:
        for number in range(KEPT):
            await apart(ours.hears, f"log.b before {number}")
        ours.publish("log.b", "from us")
        await apart(ours.hears, "log.b from us")
        info = await stream.stream_info("log_-b")
        check(info.state.messages == KEPT + 1, f"{info.state}")
        return f"{info.state.messages} messages"


def until_heard(publish, ours, line):
    """Publishes until it is received, since there is no other sign that a subscription has begun."""
    def said_and_heard():
        publish()
        return ours.has(line)

    wait_for(said_and_heard, line)


async def until_heard_by(client, topic, ours):
    for _ in range(50 * LIMIT):
        await client.publish(topic, b"now")
        await client.flush()
        if ours.has(f"{topic} now"):
            return
        await asyncio.sleep(0.02)  # between two checks of another process
    check(False, f"{topic} was not heard")


def main():
    for peer in chosen(redis, nats):
        peer()
    exit_by_rows()


if __name__ == "__main__":
    main()
