"""Records how real Twisted parses the text of endpoints, for `cargo test --all-features --test twisted endpoints`.

Needs Twisted with TLS (made with 26.10.0): pip install 'Twisted[tls]==26.10.0'

    PYTHONUTF8=1 python tests/twisted/record_endpoint.py --seed 1 --cases 3000 --out DIR

A vector is {"side", "text", "expect"}: the text is parsed by `serverFromString` or `clientFromString`, and "expect" is taken from
the resulting endpoint object, or is null if the text is refused. Where Torsade deviates on purpose, with a visible effect, there is
also "deviation": {"reasons", "expect"}, with Twisted's result after those changes.
"""

import argparse
import gzip
import inspect
import ipaddress
import json
import os
import random
import re
import socket
import tempfile

import twisted
from twisted.internet import _sslverify, endpoints
from twisted.internet.testing import MemoryReactor
from twisted.protocols.haproxy import _parser as haproxy

TWICE = "a part that is given twice is refused, where the last one counts"
IGNORED = "a part that Twisted passes over is refused"
PLAIN = "an address alone, HOST:PORT, is one of TCP"
BACKLOG = "1,024 connections may wait unless it is said, not 50"
NUMBERS = "numbers are digits, and in the range that the system has"
FRACTIONS = "a timeout may have a fraction of a second"
HOSTS = "hosts are names in ASCII or addresses, and those of this machine addresses"
SIX = "tls: takes IPv6 addresses"
EMPTY = "a path has a letter"
VERSIONS = "sslmethod= names one that takes the best version, and dhParameters= is refused: rustls has no more"
VERIFIES = "ssl: verifies the host's name unless hostname= says another"
FILES = "files are read when the endpoint listens or connects"
PASSED = "passed sockets are taken when the endpoint listens"
DOMAIN = "domain= may be left out, and is one of INET, INET6, UNIX"
QUOTING = "what is behind haproxy: keeps its quoted equals signs"
HEADERS = "there is one header of a proxy"
FOLDER = "tls: does not listen with a folder of certificates"
ABSTRACT = "a path that begins with @ is an abstract name, as one with a zero byte is"
REASONS = [TWICE, IGNORED, PLAIN, BACKLOG, NUMBERS, FRACTIONS, HOSTS, SIX, EMPTY, VERSIONS, VERIFIES, FILES, PASSED, DOMAIN]
REASONS += [QUOTING, HEADERS, FOLDER, ABSTRACT]

# The changes to Twisted that are on.
changes = set()


class Refused(Exception):
    """The changed Twisted refuses a text."""


def refuse_if(reason, condition):
    if reason in changes and condition:
        raise Refused(reason)


# What each value must be.

FILE_NAMES = ("privateKey", "certKey", "extraCertChain", "certificate", "trustRoots", "caCertsDir")

RANGES = {"port": (0, 65535), "backlog": (0, 2**32 - 1), "index": (0, 2**63), "lockfile": (0, 1), "mode": (0, 0o7777), "timeout": (0, 2**64 - 1)}


def is_number(name, text):
    low, high = RANGES[name]
    if name == "mode":
        digits = re.fullmatch(r"(0o)?\+?([0-7]+)", text.strip())
        return bool(digits) and int(digits[2], 8) <= high
    if name == "lockfile":
        return text.strip() in ("0", "1")
    return bool(re.fullmatch(r"\+?[0-9]+", text.strip())) and low <= int(text) <= high


def is_ip(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text):
    inner = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    if is_ip(inner):
        return True
    labels = [label for label in text.split(".") if label]
    return bool(re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text)) and not (labels and re.fullmatch("[0-9]+", labels[-1]))


def is_bind_address(text):
    port = re.fullmatch(r"\[(.*)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if port:
        return is_ip(port[1] or port[3]) and int(port[2] or port[4]) < 65536
    return text == "" or is_ip(text)


def check(values):
    """Refuses values that Torsade refuses and Twisted accepts; returns the timeout if it has a fraction."""
    fraction = None
    for name, text in values.items():
        if not isinstance(text, str):
            continue
        if name == "timeout" and FRACTIONS in changes and re.fullmatch(r"\+?[0-9]+\.[0-9]{0,9}", text.strip()):
            fraction = text.strip()
        elif name in RANGES:
            refuse_if(NUMBERS, not is_number(name, text))
        if name in ("host", "hostname"):
            refuse_if(HOSTS, not is_host(text))
        if name == "interface":
            refuse_if(HOSTS, text and not is_ip(text.strip("[]")))
        if name == "bindAddress":
            refuse_if(HOSTS, not is_bind_address(text))
        if name in ("address", "path") or name in FILE_NAMES:
            refuse_if(EMPTY, not text)
        if name == "sslmethod":
            refuse_if(VERSIONS, text not in ("SSLv23_METHOD", "TLS_METHOD", "TLS_SERVER_METHOD"))
        if name == "dhParameters":
            refuse_if(VERSIONS, True)
        if name == "domain":
            refuse_if(DOMAIN, text not in ("INET", "INET6", "UNIX"))
    return fraction


# The files and sockets that a text names, since the objects only have their content.

notes = []


def watched(parse, first):
    """A parser of Twisted's whose arguments are checked and recorded; the first `first` come from Twisted itself."""

    def parser(*given, **named):
        bound = inspect.signature(parse).bind(*given, **named)
        values = {name: value for index, (name, value) in enumerate(bound.arguments.items()) if index >= first}
        check(values)
        notes.append(values)
        return parse(*given, **named)

    return parser


def tokens_checked(description, original=endpoints._parse):
    keys, parts = set(), ()
    for kind, value in endpoints._tokenize(description):
        if kind is endpoints._STRING:
            parts += (value,)
        if value == "=" and kind is endpoints._OP:
            refuse_if(TWICE, parts[0] in keys)
            keys.add(parts[0])
        elif kind is endpoints._OP:
            parts = ()
    return original(description)


def tcp_client(*args, original=endpoints._parseClientTCP, **kwargs):
    named = {"host", "port"} & set(kwargs)
    refuse_if(IGNORED, len(args) > 2 or len(args) + len(named) > 2)
    names = [name for name in ("host", "port") if len(args) == 2 or name not in kwargs]
    fraction = check({**kwargs, **dict(zip(names, args))})
    if fraction is not None:
        kwargs["timeout"] = "1"
    refuse_if(IGNORED, "privateKey" in kwargs and "certKey" not in kwargs)
    notes.append(dict(kwargs))
    made = original(*args, **kwargs)
    if fraction is not None:
        made["timeout"] = fraction
    return made


def unix_client(*args, original=endpoints._parseClientUNIX, **kwargs):
    refuse_if(IGNORED, len(args) > 1 or len(args) == 1 and "path" in kwargs)
    fraction = check({**kwargs, **({"path": args[0]} if len(args) == 1 else {})})
    if fraction is not None:
        kwargs["timeout"] = "1"
    made = original(*args, **kwargs)
    if fraction is not None:
        made["timeout"] = fraction
    return made


def tls_client(*given, original=endpoints._parseClientTLS, **named):
    bound = inspect.signature(original).bind(*given, **named)
    values = {name: value for name, value in bound.arguments.items() if name not in ("reactor", "kwargs")}
    refuse_if(IGNORED, "endpoint" in values and ("timeout" in values or "bindAddress" in values))
    refuse_if(IGNORED, "privateKey" in values and "certificate" not in values)
    fraction = check({name: value for name, value in values.items() if name != "endpoint"})
    if fraction is not None:
        bound.arguments["timeout"] = "1"
    host = values.get("host", "").strip("[]")
    if SIX in changes and is_ip(host):
        bound.arguments["host"] = host
    if "endpoint" in values:
        inner = clients(bound.arguments["reactor"], values["endpoint"])
        refuse_if(IGNORED, "files" in inner)
        if PLAIN in changes and plain(values["endpoint"], "client"):
            bound.arguments["endpoint"] = "tcp:" + values["endpoint"]
    made = original(*bound.args, **bound.kwargs)
    wrapped = made._wrappedEndpoint
    if fraction is not None:
        wrapped._timeout = fraction
    made.made = inner if "endpoint" in values else describe_client(wrapped)
    made.made["files"] = {name: values[name] for name in ("certificate", "privateKey", "trustRoots") if name in values}
    made.made["name"] = values["host"] if "endpoint" in values else None
    made.made["verifies"] = True
    return made


def haproxy_server(self, reactor, *args, original=haproxy.HAProxyServerParser.parseStreamServer, **kwargs):
    refuse_if(HEADERS, args and args[0].lower() == "haproxy")
    return original(self, reactor, *args, **kwargs)


def stdio_server(self, reactor, *args, original=endpoints._StandardIOParser.parseStreamServer, **kwargs):
    refuse_if(IGNORED, kwargs or any(args) or len(args) > 1)
    return original(self, reactor, *args, **kwargs)


def tls_server(self, reactor, *args, **kwargs):
    raise Refused(FOLDER) if FOLDER in changes else NotImplementedError


class Passed:
    """The passed sockets: two, or any number if they are taken later."""

    def inheritedDescriptors(self):
        return range(2**64) if PASSED in changes else [3, 4]

    def inheritedNamedDescriptors(self):
        return type("Any", (dict,), {"__missing__": lambda self, name: 5})() if PASSED in changes else {"web": 3}


def systemd_server(self, reactor, domain=None, index=None, name=None, original=endpoints._SystemdParser._parseServer):
    if domain is None and DOMAIN not in changes:
        raise TypeError("missing domain")
    values = {"domain": domain, "index": index, "name": name}
    check(values)
    notes.append(values)
    return original(self, reactor, domain or "INET", index, name)


class Files(endpoints.FilePath):
    """Files, all of which exist and are valid if they are read later."""

    def getContent(self):
        return PEM if FILES in changes else super().getContent()

    def children(self):
        return [] if FILES in changes else super().children()


def quote(argument, original=endpoints.quoteStringArgument):
    quoted = original(argument)
    return quoted.replace("=", r"\=") if QUOTING in changes else quoted


def idna(text, original=endpoints._idnaBytes):
    return text.encode("ascii") if SIX in changes and is_ip(text) else original(text)


def change_twisted():
    endpoints._parse = tokens_checked
    endpoints._serverParsers = {
        "tcp": watched(endpoints._parseTCP, 1),
        "unix": watched(endpoints._parseUNIX, 1),
        "ssl": watched(endpoints._parseSSL, 1),
    }
    endpoints._clientParsers["TCP"] = endpoints._parseClientTCP = tcp_client
    endpoints._clientParsers["UNIX"] = unix_client
    endpoints._parseClientTLS = tls_client
    endpoints._TCP6ServerParser._parseServer = watched(endpoints._TCP6ServerParser._parseServer, 2)
    endpoints._SystemdParser._parseServer = systemd_server
    endpoints._SystemdParser._sddaemon = Passed()
    endpoints._StandardIOParser.parseStreamServer = stdio_server
    endpoints._TLSServerEndpointParser.parseStreamServer = tls_server
    haproxy.HAProxyServerParser.parseStreamServer = haproxy_server
    haproxy.quoteStringArgument = quote
    endpoints.FilePath = Files
    endpoints._idnaBytes = idna


# What is made.


def plain(text, side):
    """An address without anything else, if it is one."""
    try:
        args, kwargs = endpoints._parse(text)
    except Exception:
        return None
    kind = args[0].lower() if args else ""
    known = {"tcp", "unix", "ssl", "tls"} | ({"tcp6", "systemd", "stdio", "haproxy"} if side == "server" else set())
    # Torsade's own types.
    known |= {"fd", "compress"} if side == "server" else {"host", "compress"}
    if side == "server" and kind == "haproxy" and not kwargs:
        inner = plain(re.sub(r"^[^:]*:", "", text), side) if not text.lower().startswith("haproxy:haproxy") else None
        return inner and {**inner, "proxied": True}
    match = re.fullmatch(r"(\[.*\]|[^:\\]*):(\+?[0-9]+)", text)
    if kind in known or kwargs or not match or not is_host(match[1]) or int(match[2]) > 65535:
        return None
    host = match[1].strip("[]")
    if side == "client":
        return {"kind": "tcp", "host": host, "port": int(match[2]), "timeout": 30, "bindAddress": None}
    backlog = 1024 if BACKLOG in changes else 50
    return {"kind": "tcp", "port": int(match[2]), "interface": host, "backlog": backlog} if is_ip(host) else None


def unix_path(path):
    return re.sub("^@", "\0", path) if ABSTRACT in changes else path


def describe_server(endpoint):
    backlog = getattr(endpoint, "_backlog", None)
    if BACKLOG in changes and notes and "backlog" not in notes[-1]:
        backlog = 1024
    if isinstance(endpoint, endpoints._WrapperServerEndpoint):
        inner = describe_server(endpoint._wrappedEndpoint)
        return {**inner, "proxied": 1 + inner.get("proxied", False) if "proxied" in inner else True}
    if isinstance(endpoint, endpoints._TCPServerEndpoint):
        kind = "tcp6" if isinstance(endpoint, endpoints.TCP6ServerEndpoint) else "tcp"
        return {"kind": kind, "port": endpoint._port, "interface": endpoint._interface, "backlog": backlog}
    if isinstance(endpoint, endpoints.SSL4ServerEndpoint):
        files = {name: notes[-1][name] for name in ("privateKey", "certKey", "extraCertChain") if name in notes[-1]}
        made = {"kind": "ssl", "port": endpoint._port, "interface": endpoint._interface, "backlog": backlog}
        return {**made, "files": {"privateKey": "server.pem", **files}}
    if isinstance(endpoint, endpoints.UNIXServerEndpoint):
        made = {"kind": "unix", "path": unix_path(endpoint._address), "backlog": backlog}
        return {**made, "mode": endpoint._mode, "lockfile": endpoint._wantPID}
    if isinstance(endpoint, endpoints.AdoptedStreamServerEndpoint):
        assert PASSED in changes or endpoint.fileno in (3, 4)
        index = None if notes[-1]["index"] is None else int(notes[-1]["index"])
        family = socket.AddressFamily(endpoint.addressFamily).name[3:] if notes[-1]["domain"] else None
        return {"kind": "systemd", "domain": family, "index": index, "name": notes[-1]["name"]}
    assert isinstance(endpoint, endpoints.StandardIOEndpoint)
    return {"kind": "stdio"}


def describe_client(endpoint):
    if isinstance(endpoint, endpoints._WrapperEndpoint):
        return endpoint.made
    bind = getattr(endpoint, "_bindAddress", None)
    options = {"timeout": endpoint._timeout, "bindAddress": bind[0] if bind and bind[0] else None}
    if isinstance(endpoint, endpoints.HostnameEndpoint):
        return {"kind": "tcp", "host": endpoint._hostText, "port": endpoint._port, **options}
    if isinstance(endpoint, endpoints.UNIXClientEndpoint):
        # Whether it checks for a lock first makes no lasting difference: without a server the system refuses.
        return {"kind": "unix", "path": unix_path(endpoint._path), "timeout": endpoint._timeout}
    made = {"kind": "tcp", "host": endpoint._host, "port": endpoint._port, **options}
    if isinstance(endpoint, endpoints.SSL4ClientEndpoint):
        names = {"certKey": "certificate", "privateKey": "privateKey", "caCertsDir": "trustRoots"}
        made["files"] = {names[name]: notes[-1][name] for name in names if name in notes[-1]}
        made["name"] = notes[-1].get("hostname")
        made["verifies"] = VERIFIES in changes or made["name"] is not None
    return made


def clients(reactor, text):
    found = plain(text, "client") if PLAIN in changes else None
    return found or describe_client(endpoints.clientFromString(reactor, text))


def make(side, text, reasons):
    """What a text means, or None if it is refused."""
    changes.clear()
    changes.update(reasons)
    notes.clear()
    try:
        if side == "client":
            return clients(MemoryReactor(), text)
        found = plain(text, "server") if PLAIN in changes else None
        return found or describe_server(endpoints.serverFromString(MemoryReactor(), text))
    except NotImplementedError:
        return {"kind": "tls"}
    except Exception:
        return None


# Texts.

GOOD = {
    "port": ["80", "0", "65535", " 8080", "+80", "0080"],
    "interface": ["", "127.0.0.1", "::1", "::", "0.0.0.0", "fe80::1%lo"],
    "backlog": ["5", "50", "1024", "0"],
    "privateKey": ["server.pem", "key.pem"],
    "certKey": ["server.pem", "cert.pem"],
    "sslmethod": ["SSLv23_METHOD", "TLS_METHOD"],
    "extraCertChain": ["chain.pem"],
    "address": ["/run/echo", "a:b=c\\d", "/run/a b", "\0name", "@name", "./@name", "/ü"],
    "path": ["/run/echo", "a:b=c\\d", "/run/a b", "\0name", "@name", "./@name", "/ü"],
    "mode": ["660", "0o600", "0777", " 7"],
    "lockfile": ["0", "1"],
    "domain": ["INET", "INET6", "UNIX"],
    "index": ["0", "1"],
    "name": ["web"],
    "host": ["example.com", "h", "10.0.0.1", "::1", "a.b-c"],
    "timeout": ["5", "0", "30", " 7 "],
    "bindAddress": ["10.0.0.1", "::1", "", "10.0.0.1:5000", "[::1]:5000"],
    "caCertsDir": ["roots"],
    "hostname": ["example.com", "other.example"],
    "certificate": ["server.pem", "cert.pem"],
    "trustRoots": ["roots"],
    "endpoint": ["tcp:h:80", "unix:/run/x:timeout=3", "unix:a\\:b", "tcp:host=h:port=1:bindAddress=10.0.0.1", "h:80", "tls:h:1", "tcp:h", ""],
    "dhParameters": [],
}
ODD = {
    "port": ["", "http", "65536", "-1", "8_0", "80.5", "٣", "0x50", "1e3"],
    "interface": ["localhost", "127.0.0.1%lo", "[::1]", "10.0.0", "x=y"],
    "backlog": ["", "-1", "many", "4294967296", "1_0"],
    "privateKey": ["none.pem", ""],
    "certKey": ["none.pem"],
    "sslmethod": ["TLSv1_2_METHOD", "TLSv1_METHOD", "NO_METHOD"],
    "extraCertChain": ["none.pem", "empty.pem"],
    "dhParameters": ["none.pem", "dh.pem"],
    "address": [""],
    "path": [""],
    "mode": ["888", "", "rw", "-1", "10000", "0o"],
    "lockfile": ["", "2", "yes", "-1", " 1"],
    "domain": ["INET5", "inet", "APPLETALK", ""],
    "index": ["7", "-1", "", "x"],
    "name": ["", "other", "n=m"],
    "host": ["", "ü.example", "a b", "1.2.3", "256.1.1.1", "x=y", "[::1]"],
    "timeout": ["", "-1", "2.5", "0.25", "x", "1_0", "inf"],
    "bindAddress": ["localhost", "10.0.0", "lo"],
    "caCertsDir": ["none"],
    "hostname": ["", "ü.example", "a b"],
    "certificate": ["none.pem"],
    "trustRoots": ["none"],
    "endpoint": ["tcp", "x", "bad:h:80", "tcp:h:80:x=y", "tcp:h:http"],
}
KINDS = {
    "server": {
        "tcp": ["port", "interface", "backlog"],
        "tcp6": ["port", "backlog", "interface"],
        "ssl": ["port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters"],
        "unix": ["address", "mode", "backlog", "lockfile"],
        "systemd": ["domain", "index", "name"],
        "stdio": [],
        "tls": ["path", "port", "backlog", "interface"],
    },
    "client": {
        "tcp": ["host", "port", "timeout", "bindAddress"],
        "ssl": ["host", "port", "timeout", "bindAddress", "certKey", "privateKey", "caCertsDir", "hostname"],
        "unix": ["path", "timeout", "lockfile"],
        "tls": ["host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"],
    },
}
# How many parts an endpoint must have.
NEEDED = {"tcp": 1, "tcp6": 1, "ssl": 1, "unix": 1, "systemd": 2, "stdio": 0, "tls": 1}


def draw(generator):
    side = generator.choice(["server", "client"])
    kinds = KINDS[side]
    kind = generator.choice(list(kinds))
    names = kinds[kind]
    chance = lambda share: generator.random() < share
    if chance(0.06):
        return side, generator.choice(["127.0.0.1:80", "[::1]:80", "h:80", "haproxy:127.0.0.1:80", "h:http", "h", "", ":", "::1", "10.0.0.1"])
    needed = min(len(names), NEEDED[kind] + (side == "client" and kind != "unix"))
    if kind == "systemd":
        chosen = ["domain", generator.choice(["index", "name"])]
    else:
        chosen = names[:needed]
    chosen = chosen + [name for name in names if name not in chosen and chance(0.25) and name != "dhParameters"]
    if chance(0.05) and chosen:
        chosen.remove(generator.choice(chosen))
    positional = generator.choice([0, needed, needed, needed, needed, len(chosen)])
    parts = []
    for index, name in enumerate(chosen):
        values = ODD[name] if chance(0.06) or not GOOD[name] else GOOD[name]
        value = generator.choice(values)
        quoted = value if chance(0.02) else endpoints.quoteStringArgument(value)
        if index < positional and chosen[: index + 1] == names[: index + 1]:
            parts.append(quoted.replace("=", r"\=") if chance(0.9) else quoted)
        else:
            parts.append("%s=%s" % (name, quoted))
    order = [part for part in parts if "=" not in part] + [part for part in parts if "=" in part]
    if chance(0.2):
        generator.shuffle(order)
    if chance(0.04):
        order.append(generator.choice(["", "x", "x=y", "port=81", "backlog=7", "host=g", "interface="]))
    spelled = generator.choice([kind.upper(), kind.title()]) if chance(0.06) else kind
    text = ":".join([spelled] + order) + (":" if kind == "stdio" and not order else "")
    if side == "server" and chance(0.12):
        text = generator.choice(["haproxy", "haproxy", "HAProxy", "haproxy:haproxy"]) + ":" + text
    if chance(0.05):
        at = generator.randint(0, len(text))
        text = text[:at] + generator.choice([":", "=", "\\", "x", " "]) + text[at + generator.randint(0, 1) :]
    return side, text


def record(generator):
    side, text = draw(generator)
    expect = make(side, text, [])
    vector = {"side": side, "text": text, "expect": expect}
    changed = make(side, text, REASONS)
    if changed != expect:
        needed = [reason for reason in REASONS if make(side, text, [other for other in REASONS if other != reason]) != changed]
        # If several changes refuse it, any of them will do.
        enough = [reason for reason in REASONS if make(side, text, [reason]) == changed]
        vector["deviation"] = {"reasons": needed or enough or REASONS, "expect": changed}
    return vector


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="the same seed and number of cases give the same file")
    parser.add_argument("--cases", type=int, default=3000, help="how many vectors")
    parser.add_argument("--out", required=True, help="the directory to write to; made if it is not there")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    path = os.path.abspath(os.path.join(options.out, "endpoints.jsonl.gz"))
    change_twisted()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("roots")
        for name in ("server.pem", "key.pem", "cert.pem", "chain.pem", "roots/ca.pem"):
            with open(name, "wb") as file:
                file.write(PEM)
        open("empty.pem", "w").close()
        vectors = [record(generator) for _ in range(options.cases)]
        os.chdir("/")
    lines = "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors)
    with open(path, "wb") as file:
        # Without a timestamp, so that the same vectors give the same bytes.
        file.write(gzip.compress(lines.encode("ascii"), 9, mtime=0))
    marked = sum("deviation" in vector for vector in vectors)
    made = sum(vector["expect"] is not None for vector in vectors)
    print("Twisted %s: %d vectors, %d made, %d marked as deviations" % (twisted.__version__, len(vectors), made, marked))


def certificate():
    """A self-signed certificate with its key, both in PEM."""
    key = _sslverify.KeyPair.generate(size=2048)
    return key.selfSignedCert(1, CN="example.com").dump(PEM_FORMAT) + key.dump(PEM_FORMAT)


# OpenSSL's number for it.
PEM_FORMAT = 1
PEM = None

if __name__ == "__main__":
    PEM = certificate()
    main()
