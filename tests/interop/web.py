"""The example web_server with other clients; see `run`.

Names: curl, pipelining, wrk, h2load, python (urllib, requests, httpx), node (fetch, http2, EventSource), chromium.
"""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from peers import LIMIT, Skip, check, chosen, examples, exit_by_rows, listening, need, row, wait_for

TEXT = b"all work and no play makes jack a dull boy\n" * 20000
LARGE = hashlib.shake_128(b"seed").digest(20 << 20)
SHA1 = hashlib.sha1(LARGE).hexdigest()
NOTE = {"id": 1, "text": "buy \u00e9clairs"}


class Site:
    """Two servers with the same files: one without TLS and one with it."""

    def __init__(self, folder, plain, tls):
        self.folder, self.port, self.authority = folder, plain, os.path.join(folder, "ca.pem")
        self.plain, self.tls = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"

    def file(self, name):
        return os.path.join(self.folder, name)


@contextlib.contextmanager
def site():
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ("text.txt", TEXT), ("large.bin", LARGE), ("note.json", json.dumps(NOTE).encode()):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        subprocess.run([os.path.join(examples(), "make_keys"), folder], check=True, stdout=subprocess.DEVNULL)
        keys = [os.path.join(folder, name) for name in ("server.pem", "server.key")]
        with listening("web_server", "127.0.0.1:0", folder) as (plain, _):
            with listening("web_server", "127.0.0.1:0", folder, *keys) as (tls, _):
                yield Site(folder, plain, tls)


def run(*arguments, **more):
    need(arguments[0])
    done = subprocess.run(arguments, capture_output=True, timeout=LIMIT, **more)
    check(done.returncode == 0, f"exit {done.returncode}: {(done.stderr + done.stdout)[-500:].decode(errors='replace')}")
    return done.stdout


# curl

VERSIONS = {
    "HTTP/1.0": ("plain", "1", ["--http1.0"]),
    "HTTP/1.1": ("plain", "1.1", []),
    "HTTP/2, prior knowledge": ("plain", "2", ["--http2-prior-knowledge"]),
    "HTTPS, HTTP/1.1": ("tls", "1.1", ["--http1.1"]),
    "HTTPS, HTTP/2 by ALPN": ("tls", "2", []),
}


def curl(site):
    for version in VERSIONS:
        for case in curl_get, curl_range, curl_compressed, curl_upload, curl_events:
            row(f"curl, {version}, {case.__name__[5:]}", case, site, *VERSIONS[version])


def ask(site, scheme, version, options, path, *more):
    """A body, after checking the HTTP version."""
    output = site.file("output")
    url = getattr(site, scheme) + path
    said = run("curl", "-sS", "--fail", "--cacert", site.authority, *options, "-o", output, "-w", "%{http_version}", *more, url)
    check(said.decode() == version, f"HTTP/{said.decode()}")
    with open(output, "rb") as file:
        return file.read()


def curl_get(site, *how):
    check(ask(site, *how, "/files/large.bin") == LARGE, "the file")
    check(ask(site, *how, "/files/text.txt", "-I").lower().startswith(b"http"), "the head")


def curl_range(site, *how):
    check(ask(site, *how, "/files/large.bin", "-r", "1000-1999") == LARGE[1000:2000], "the middle")
    check(ask(site, *how, "/files/large.bin", "-r", "-1000") == LARGE[-1000:], "the end")
    with open(site.file("output"), "wb") as part:
        part.write(LARGE[:1 << 20])
    check(ask(site, *how, "/files/large.bin", "-C", "-") == LARGE, "a download that is resumed")


def curl_compressed(site, *how):
    check(ask(site, *how, "/files/text.txt", "--compressed") == TEXT, "the text, in the coding that curl likes")
    wire = ask(site, *how, "/files/text.txt", "-H", "accept-encoding: gzip")
    check(len(wire) < len(TEXT) / 10, f"{len(wire)} bytes of {len(TEXT)}")
    return f"{len(wire)} bytes of {len(TEXT)}"


def curl_upload(site, scheme, version, options):
    url = getattr(site, scheme) + "/upload"
    for more in [], ["-H", "transfer-encoding: chunked"], ["-H", "expect: 100-continue"]:
        if more and version != "1.1":
            continue
        arguments = ["curl", "-sSv", "--fail", "--cacert", site.authority, *options, *more, "-T", site.file("large.bin"), url]
        need("curl")
        done = subprocess.run(arguments, capture_output=True, timeout=LIMIT, check=True)
        check(json.loads(done.stdout) == {"bytes": len(LARGE), "sha1": SHA1}, done.stdout)
        check("expect: 100-continue" not in more or b"100 Continue" in done.stderr, "no 100 Continue")


def add_note(site):
    request = urllib.request.Request(site.plain + "/notes", json.dumps(NOTE).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        return json.load(answer)


def curl_events(site, scheme, version, options):
    need("curl")
    url = getattr(site, scheme)
    note = ["-H", "content-type: application/json", "-d", f"@{site.file('note.json')}", f"{url}/notes"]
    added = json.loads(run("curl", "-sS", "--fail", "--cacert", site.authority, *options, *note))
    arguments = ["curl", "-sSN", "--cacert", site.authority, *options, "-H", f"last-event-id: {added['id'] - 1}", f"{url}/events"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        lines = [process.stdout.readline() for _ in range(3)]
        timer.cancel()
        process.kill()
    check(f"id: {added['id']}\n".encode() in lines, lines)


# Raw sockets

def pipelining(site):
    row("pipelining, three requests in one write", pipelined, site, False)
    row("pipelining, and our half closed behind them", pipelined, site, True)


def pipelined(site, half_close):
    request = "GET /files/text.txt HTTP/1.1\r\nhost: a\r\nrange: bytes={}\r\n{}\r\n"
    requests = [request.format("0-9", ""), request.format("10-19", ""), request.format("20-29", "connection: close\r\n")]
    with socket.create_connection(("127.0.0.1", site.port), LIMIT) as peer:
        peer.sendall("".join(requests).encode())
        if half_close:
            peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    bodies = [part[:10] for part in answer.split(b"\r\n\r\n")[1:]]
    check(bodies == [TEXT[0:10], TEXT[10:20], TEXT[20:30]], answer)


# Load: everything is answered, however fast

def wrk(site):
    for path in "/files/text.txt", "/notes?contains=none":
        row(f"wrk, {path}", wrk_of, site, path)


def wrk_of(site, path):
    said = run("wrk", "-t", "1", "-c", "32", "-d", "1", site.plain + path).decode()
    check("Non-2xx" not in said and "Socket errors" not in said, said)
    return re.search(r"\d+ requests", said)[0]


def h2load(site):
    for scheme in "plain", "tls":
        row(f"h2load, 4 connections, 16 streams each, {scheme}", h2load_of, getattr(site, scheme) + "/files/text.txt")


def h2load_of(url):
    said = run("h2load", "-n", "320", "-c", "4", "-m", "16", url).decode()
    check("320 succeeded, 0 failed, 0 errored" in said, said)
    check(f"({320 * len(TEXT)}) data" in said, said)


# Python

def python(site):
    row("urllib", urllib_of, site)
    for version in "plain", "tls":
        row(f"requests, {version}", requests_of, site, version)
    for scheme, http2 in ("plain", False), ("plain", True), ("tls", False), ("tls", True):
        row(f"httpx, {scheme}, {'HTTP/2' if http2 else 'HTTP/1.1'}", httpx_of, site, scheme, http2)


def module(name):
    try:
        return __import__(name)
    except ImportError:
        raise Skip(f"the Python library {name} is not installed") from None


def urllib_of(site):
    context = ssl.create_default_context(cafile=site.authority)
    with urllib.request.urlopen(site.tls + "/files/large.bin", timeout=LIMIT, context=context) as answer:
        check(answer.read() == LARGE, "the file")
    check(add_note(site)["text"] == NOTE["text"], "the note")
    for path, status in ("/none", 404), ("/files/..%2fnone", 404):
        try:
            urllib.request.urlopen(site.plain + path, timeout=LIMIT)
            check(False, f"{path} is there")
        except urllib.error.HTTPError as error:
            check(error.code == status, error)


def conversation(client, base):
    """What requests and httpx have in common."""
    check(client.get(base + "/files/text.txt").content == TEXT, "the text")
    check(client.get(base + "/files/large.bin", headers={"range": "bytes=5-9"}).content == LARGE[5:10], "the range")
    answer = client.post(base + "/notes", json={"text": "from Python"})
    check((answer.status_code, answer.json()["text"]) == (201, "from Python"), answer.text)
    check(len(client.get(base + "/notes", params={"contains": "from Py"}).json()) >= 1, "the list")
    modified = client.get(base + "/files/text.txt").headers["last-modified"]
    check(client.get(base + "/files/text.txt", headers={"if-modified-since": modified}).status_code == 304, "304")
    pieces = (LARGE[at:at + 100_000] for at in range(0, len(LARGE), 100_000))
    answer = client.put(base + "/upload", **({"content": pieces} if hasattr(client, "build_request") else {"data": pieces}))
    check(answer.json() == {"bytes": len(LARGE), "sha1": SHA1}, answer.text)


def requests_of(site, scheme):
    with module("requests").Session() as session:
        session.verify, session.trust_env = site.authority, False
        conversation(session, getattr(site, scheme))


def httpx_of(site, scheme, http2):
    httpx = module("httpx")
    if http2:
        module("h2")
    context = ssl.create_default_context(cafile=site.authority)
    with httpx.Client(http2=http2, http1=not (http2 and scheme == "plain"), verify=context, timeout=LIMIT) as client:
        version = client.get(getattr(site, scheme) + "/status").http_version
        check(version == ("HTTP/2" if http2 else "HTTP/1.1"), version)
        conversation(client, getattr(site, scheme))


# Node and Chromium

FETCH = """
const [base, sha1] = process.argv.slice(1);
const crypto = require("crypto");
(async () => {
  const file = Buffer.from(await (await fetch(base + "/files/large.bin")).arrayBuffer());
  if (crypto.createHash("sha1").update(file).digest("hex") !== sha1) throw new Error("the file");
  const upload = new Blob([file]).stream();
  const counted = await (await fetch(base + "/upload", { method: "PUT", body: upload, duplex: "half" })).json();
  if (counted.sha1 !== sha1) throw new Error(JSON.stringify(counted));
  const headers = { "content-type": "application/json" };
  const added = await fetch(base + "/notes", { method: "POST", headers, body: JSON.stringify({ text: "from Node" }) });
  if (added.status !== 201) throw new Error(added.status);
  const text = await (await fetch(base + "/files/text.txt")).text();
  if (!text.startsWith("all work")) throw new Error("the text");
  const leaving = new AbortController();
  const events = await fetch(base + "/events", { signal: leaving.signal });
  const { value } = await events.body.getReader().read();
  if (!Buffer.from(value).includes("data:")) throw new Error("no event");
  leaving.abort();
})().catch((error) => { console.error(error); process.exit(1); });
"""

HTTP2 = """
const [base, authority] = process.argv.slice(1);
const ca = require("fs").readFileSync(authority);
const session = require("http2").connect(base, { ca });
let left = 20, bytes = 0;
for (let number = 0; number < 20; number++) {
  const stream = session.request({ ":path": "/files/text.txt" });
  stream.on("data", (data) => { bytes += data.length; });
  stream.on("end", () => { if (--left === 0) { console.log(bytes); session.close(); } });
}
session.on("error", (error) => { console.error(error); process.exit(1); });
"""

EVENT_SOURCE = """
if (typeof EventSource === "undefined") { console.log("none"); process.exit(); }
const source = new EventSource(process.argv[1] + "/events");
source.addEventListener("note", (event) => { console.log(event.lastEventId, event.data); process.exit(); });
source.onerror = (error) => { console.error(error.message); process.exit(1); };
"""


def node(site):
    row("Node, fetch", lambda: run("node", "-e", FETCH, site.plain, SHA1) and None)
    for scheme in "plain", "tls":
        row(f"Node, http2, 20 streams, {scheme}", node_http2, site, scheme)
    row("Node, EventSource", node_event_source, site)


def node_http2(site, scheme):
    said = run("node", "-e", HTTP2, getattr(site, scheme), site.authority)
    check(int(said) == 20 * len(TEXT), said)


def node_event_source(site):
    add_note(site)
    need("node")
    # A version without this option has no EventSource.
    if subprocess.run(["node", "--experimental-eventsource", "-e", ""], capture_output=True).returncode:
        raise Skip("this Node has no EventSource")
    said = run("node", "--experimental-eventsource", "-e", EVENT_SOURCE, site.plain).decode()
    if said == "none\n":
        raise Skip("this Node has no EventSource")
    check('"text":' in said, said)


BROWSER = """
<!DOCTYPE html><iframe src="/"></iframe><script>
const post = (text) => {
  const headers = { "Content-Type": "application/json" };
  return fetch("/notes", { method: "POST", headers, body: JSON.stringify({ text }) });
};
(async () => {
  const text = await (await fetch("/files/text.txt")).text();
  const file = await (await fetch("/files/large.bin")).arrayBuffer();
  const counted = await (await fetch("/upload", { method: "PUT", body: file })).json();
  const protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  await post("for the page");
  const look = () => {
    const items = [...document.querySelector("iframe").contentDocument.querySelectorAll("li")];
    if (!items.some((item) => item.textContent === "for the page")) return setTimeout(look, 20);
    post(`Chromium: ${protocol} ${text.length} ${counted.sha1}`);
  };
  look();
})().catch((error) => post(`Chromium: ${error}`));
</script>
"""


def chromium(site):
    for scheme, protocol in ("plain", "http/1.1"), ("tls", "h2"):
        row(f"Chromium, its page with EventSource, {protocol}", chromium_of, site, scheme, protocol)


def chromium_of(site, scheme, protocol):
    """A page that opens the server's own page, and reports what it has seen in a note."""
    need("chromium")
    with open(site.file("browser.html"), "w") as file:
        file.write(BROWSER)
    base = getattr(site, scheme)
    context = ssl.create_default_context(cafile=site.authority)

    def told():
        with urllib.request.urlopen(base + "/notes?contains=Chromium:", timeout=LIMIT, context=context) as answer:
            return json.load(answer)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                   "--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors",
                   f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        process = subprocess.Popen(["chromium", *options, base + "/files/browser.html"], start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(told, "a note of Chromium")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    expected = f"Chromium: {protocol} {len(TEXT)} {SHA1}"
    check(told()[0]["text"] == expected, told())


def main():
    peers = chosen(curl, pipelining, wrk, h2load, python, node, chromium)
    if peers:
        with site() as there:
            for peer in peers:
                peer(there)
    exit_by_rows()


if __name__ == "__main__":
    main()
