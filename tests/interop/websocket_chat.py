"""The example websocket_chat with other WebSocket clients; see `run`.

Names: python (websockets), ws (from npm), node (its own WebSocket), chromium (the chat's page).
"""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import urllib.request

from peers import LIMIT, Skip, check, chosen, exit_by_rows, listening, need, row, wait_for

# websockets, from PyPI

async def join(websockets, port, name):
    socket = await websockets.connect(f"ws://127.0.0.1:{port}/chat")
    check(await socket.recv() == "What is your name?", "not asked for a name")
    await socket.send(name)
    check(await socket.recv() == f"* {name} is here", "not taken in")
    return socket


async def python_chat(websockets, port):
    ann = await join(websockets, port, "Ann")
    bob = await join(websockets, port, "Bob")
    check(await ann.recv() == "* Bob is here", "Ann was not told of Bob")
    await bob.send("Grüße")
    check([await ann.recv(), await bob.recv()] == ["<Bob> Grüße"] * 2, "the line did not come")
    await (await ann.ping())
    await bob.close(4000, "bye")
    check(bob.close_code == 4000, f"closed with {bob.close_code}")
    check(await ann.recv() == "* Bob has left", "Ann was not told that he left")
    await ann.close()


async def python_echo(websockets, port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as socket:
        check("Sec-WebSocket-Extensions" not in socket.response.headers, "compression was agreed")
        for message in ("", "ü" * 30_000, b"", os.urandom(65_536), ["in ", "three ", "fragments"]):
            await socket.send(message)
            whole = "".join(message) if isinstance(message, list) else message
            check(await socket.recv() == whole, "another message came back")
    return "compression offered, and not agreed"


async def python_refusals(websockets, port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as socket:
        await socket.send(b"x" * 65_537)
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            check(closed.rcvd and closed.rcvd.code == 1009, str(closed))
    for path, more, status in ("nowhere", {}, 404), ("", {}, 200), ("chat", {"origin": "https://example.org"}, 403):
        try:
            await websockets.connect(f"ws://127.0.0.1:{port}/{path}", **more)
        except websockets.InvalidStatus as refused:
            check(refused.response.status_code == status, f"{path}: {refused}")
        else:
            check(False, f"/{path} was upgraded")
    return "1009; 404, 200, 403"


def python(port):
    def call(conversation):
        try:
            import websockets
        except ImportError:
            raise Skip("the Python library websockets is not installed") from None
        return asyncio.run(asyncio.wait_for(conversation(websockets, port), LIMIT))
    for conversation in python_chat, python_echo, python_refusals:
        row(f"websockets, {conversation.__name__.removeprefix('python_')}", call, conversation)


# Node

NODE = """
const [url, kind] = process.argv.slice(1);
const { WebSocket } = kind === "ws" ? require("ws") : globalThis;
const fail = (what) => { console.error(what); process.exit(1); };
const echo = new WebSocket(url + "/echo");
echo.binaryType = "arraybuffer";
const sizes = [0, 125, 126, 65535, 65536];
echo.onopen = () => sizes.forEach((size) => echo.send(new Uint8Array(size).fill(7)));
let got = 0;
echo.onmessage = ({ data }) => {
  if (data.byteLength !== sizes[got] || !new Uint8Array(data).every((byte) => byte === 7)) fail(`message ${got}`);
  got += 1;
  if (got === sizes.length) echo.close(4001, "bye");
};
echo.onclose = ({ code }) => {
  if (code !== 4001 || got !== sizes.length) fail(`echo closed with ${code} after ${got}`);
  const chat = new WebSocket(url + "/chat");
  const wanted = ["What is your name?", "* Ann is here", "<Ann> Gr\\u00fc\\u00dfe"], say = ["Ann", "Gr\\u00fc\\u00dfe"];
  chat.onmessage = ({ data }) => {
    if (data !== wanted.shift()) fail(data);
    if (say.length) chat.send(say.shift()); else if (kind === "ws") chat.ping(); else chat.close(1000);
  };
  if (kind === "ws") chat.on("pong", () => chat.close(1000));
  chat.onclose = ({ code }) => code === 1000 ? console.log("ok") : fail(`chat closed with ${code}`);
};
"""


def node_client(port, kind):
    need("node")
    environment = dict(os.environ, NODE_PATH=os.path.abspath("target/interop/node_modules"))
    options = []
    if kind == "ws":
        if subprocess.run(["node", "-e", "require('ws')"], env=environment, capture_output=True).returncode:
            raise Skip("the npm package ws is not installed")
    elif subprocess.run(["node", "-e", "WebSocket"], capture_output=True).returncode:
        options = ["--experimental-websocket"]  # before Node 22
    command = ["node", *options, "-e", NODE, f"ws://127.0.0.1:{port}", kind]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT, text=True)
    check(done.stdout == "ok\n", f"{done.stdout}{done.stderr}"[-500:])
    return subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()


def ws(port):
    row("ws, chat and echo", node_client, port, "ws")


def node(port):
    row("node's WebSocket, chat and echo", node_client, port, "own")


# Chromium

async def type_into(websockets, debugger, port):
    """Chats by the page's own form, and reads what the page shows."""
    async with websockets.connect(debugger, max_size=None) as devtools:
        numbers = iter(range(1, 1000))

        async def call(method, **parameters):
            number = next(numbers)
            await devtools.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while (answer := json.loads(await devtools.recv())).get("id") != number:
                pass
            check("error" not in answer, str(answer))
            return answer["result"]

        async def shown(text):
            while True:
                found = await call("Runtime.evaluate", expression="document.getElementById('lines')?.textContent ?? ''")
                if text in (lines := found["result"]["value"]):
                    return lines
                await asyncio.sleep(0.05)  # between two checks of another process

        async def say(text):
            expression = f"line.value = {json.dumps(text)}; form.requestSubmit()"
            await call("Runtime.evaluate", expression=expression)

        await call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        await shown("What is your name?")
        await say("Ann")
        await shown("* Ann is here")
        bob = await join(websockets, port, "Bob")
        await say("Grüße")
        check(await bob.recv() == "<Ann> Grüße", "Bob did not hear it")
        await bob.send("<b>hello</b>")
        await shown("<Ann> Grüße\n<Bob> <b>hello</b>")
        await call("Runtime.evaluate", expression="socket.close(1000)")
        check(await bob.recv() == "<Bob> <b>hello</b>" and await bob.recv() == "* Ann has left", "Bob did not hear that she left")
        await shown("The end: 1000")
        await bob.close()


def chromium_chats(port):
    try:
        import websockets
    except ImportError:
        raise Skip("driving it needs the Python library websockets") from None
    need("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile("w+") as output:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        process = subprocess.Popen(["chromium", *options, "about:blank"], stdout=output, stderr=subprocess.STDOUT)
        try:
            def said():
                return re.search(r"DevTools listening on ws://([\d.:]+)/", os.pread(output.fileno(), 1 << 20, 0).decode())
            wait_for(said, "the start of chromium")
            with urllib.request.urlopen(f"http://{said()[1]}/json/list", timeout=LIMIT) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            asyncio.run(asyncio.wait_for(type_into(websockets, pages[0]["webSocketDebuggerUrl"], port), LIMIT))
        finally:
            process.terminate()
            process.wait(LIMIT)


def chromium(port):
    row("chromium, the chat's page", chromium_chats, port)


def main():
    peers = chosen(python, ws, node, chromium)
    if peers:
        with listening("websocket_chat", "127.0.0.1:0") as (port, text):
            for peer in peers:
                peer(port)
            check("panicked" not in text(), text())
    exit_by_rows()


if __name__ == "__main__":
    main()
