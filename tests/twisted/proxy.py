"""PROXY headers, valid and invalid, cut into pieces: what Twisted's wrapper does with them."""

import ipaddress
import struct

from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

PIECES = "a header is waited for however it is cut, where Twisted closes after a first piece of less than 8 or 16 bytes"
EARLY = "what cannot become a header any more is refused at once"
BOUND = "a line has 107 bytes at most, as the specification says"
UNKNOWN = "PROXY UNKNOWN with nothing behind it is a header, which Twisted refuses"
FIELDS = "a line has two addresses and two ports, and nothing behind them"
CHECKED = "a line is text, with IP addresses of its family and ports that are ones"
LENGTH = "a binary header has 4,096 bytes at most"
UNSPECIFIED = "of family and transport both are unspecified, or neither"
TLVS = "what is behind the addresses has to be TLVs, and a checksum has to be right"
NAMES = "a UNIX socket's name ends at its first zero byte, and one that begins with it is abstract"

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
WAITING, REFUSED = [["waiting"]], [["refused"]]


def ip(text, version=None):
    """The bytes of an address, or its text if it is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None if version else text
    return None if version not in (None, address.version) else address.packed.hex()


class Inner(Protocol):
    received = b""

    def dataReceived(self, data):
        self.received += data


def shown(address):
    if address is None:
        return None
    if isinstance(address, UNIXAddress):
        return ["unix", name(address.name, [])]
    return [address.type.lower(), ip(address.host), address.port]


def name(raw, on):
    raw = raw.rstrip(b"\0")
    if NAMES in on:
        raw = raw if raw[:1] == b"\0" else raw.split(b"\0")[0]
    return raw.hex()


def play_twisted(pieces):
    protocol = HAProxyWrappingFactory(Factory.forProtocol(Inner)).buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    for piece in pieces:
        try:
            protocol.dataReceived(piece)
        except Exception:
            return REFUSED
        if transport.disconnecting:
            return REFUSED
    info = protocol._proxyInfo
    if info is None:
        return WAITING
    return [["header", shown(info.source), shown(info.destination), protocol.wrappedProtocol.received.hex()]]


class Refused(Exception):
    pass


class Wait(Exception):
    pass


def play_changed(pieces, on):
    """Twisted's, with the changes that are `on`."""
    held, parse = b"", None
    for number, piece in enumerate(pieces):
        held += piece
        try:
            parse = parse or chosen(held, on)
            source, destination, length = parse(held, on)
        except Wait:
            continue
        except (Refused, ValueError, struct.error):
            return REFUSED
        return [["header", source, destination, (held[length:] + b"".join(pieces[number + 1 :])).hex()]]
    return WAITING


def chosen(held, on):
    mark = b"PROXY " if EARLY in on else b"PROXY"
    if PIECES in on and any(begin.startswith(held[: len(begin)]) and len(held) < least for begin, least in [(mark, 6), (SIGNATURE, 16)]):
        raise Wait
    if held.startswith(SIGNATURE) and len(held) >= 16 and held[12] & 0xF0 == 0x20:
        return binary
    if held.startswith(mark) and (len(held) >= 8 or PIECES in on):
        return line
    raise Refused


def line(held, on):
    seen = held[:107] if BOUND in on else held
    if b"\r\n" not in seen:
        raise Refused if len(held) > (106 if BOUND in on else 107) else Wait
    text = seen[: seen.index(b"\r\n")]
    if CHECKED in on:
        text.decode("utf-8")
    proxy, rest = text.split(b" ", 1)
    if proxy != b"PROXY":
        raise Refused
    if rest == b"UNKNOWN" and UNKNOWN in on:
        return None, None, len(text) + 2
    family, rest = rest.split(b" ", 1)
    if family == b"UNKNOWN":
        return None, None, len(text) + 2
    if family not in (b"TCP4", b"TCP6"):
        raise Refused
    fields = rest.split(b" ")
    if len(fields) < 4 or FIELDS in on and len(fields) != 4:
        raise Refused
    version = int(family[3:])

    def end(host, port):
        if CHECKED not in on:
            return ["tcp", ip(host.decode()), int(port)]
        if not (port.isdigit() and (port == b"0" or port[:1] != b"0") and int(port) < 65536):
            raise Refused
        if ip(host.decode(), version) is None or b"%" in host:
            raise Refused
        return ["tcp", ip(host.decode(), version), int(port)]

    return end(fields[0], fields[2]), end(fields[1], fields[3]), len(text) + 2


def binary(held, on):
    size = 16 + struct.unpack("!H", held[14:16])[0]
    if LENGTH in on and size > 4096:
        raise Refused
    if EARLY in on and held[12] not in (0x20, 0x21):
        raise Refused
    if len(held) < size:
        raise Wait
    header = held[:size]
    if header[12] not in (0x20, 0x21):
        raise Refused
    if header[12] == 0x20:
        return None, None, size
    family, transport = header[13] & 0xF0, header[13] & 0x0F
    if family > 0x30 or transport > 2:
        raise Refused
    if family == 0 or transport == 0:
        if UNSPECIFIED in on and family | transport:
            raise Refused
        source, destination, at = None, None, 16
    elif family == 0x30:
        names = struct.unpack("!108s108s", header[16:232])
        source, destination = [["unix", name(raw, on)] for raw in names]
        if NAMES in on:
            source, destination = [None if end[1] == "" else end for end in (source, destination)]
        at = 232
    else:
        length = 4 if family == 0x10 else 16
        at = 16 + 2 * length + 4
        *hosts, first, second = struct.unpack("!%ds%ds2H" % (length, length), header[16:at])
        kind = "udp" if transport == 2 else "tcp"
        source, destination = [kind, hosts[0].hex(), first], [kind, hosts[1].hex(), second]
    if TLVS in on:
        tlvs(header, at)
    return source, destination, size


def tlvs(header, at):
    while at < len(header):
        kind, length = struct.unpack("!BH", header[at : at + 3])
        if at + 3 + length > len(header):
            raise Refused
        if kind == 3:
            told = struct.unpack("!I", header[at + 3 : at + 3 + length])[0]
            if told != crc32c(header[: at + 3] + bytes(4) + header[at + 7 :]):
                raise Refused
        at += 3 + length


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def play(target, config, steps, deviations=None):
    pieces = [bytes.fromhex(step) for step in steps]
    return play_twisted(pieces) if deviations is None else play_changed(pieces, deviations)


KNOWN = [PIECES, EARLY, BOUND, UNKNOWN, FIELDS, CHECKED, LENGTH, UNSPECIFIED, TLVS, NAMES]
TARGETS = {"proxy v1": (play, KNOWN), "proxy v2": (play, KNOWN)}


def spoilt(random, data):
    """A byte changed, missing, or added."""
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice([b"", b" ", b"\0", b"\r", b"\r\n", b"x", b"0", b"\xff"]) + data[at + random.randrange(2) :]


def text_host(random, version):
    raw = bytes(random.choice([0, 0, 1, 10, 127, 255, random.randrange(256)]) for _ in range(4 if version == 4 else 16))
    address = ipaddress.ip_address(raw)
    return random.choice([str(address), address.exploded, str(address).upper()]).encode()


def line_case(random):
    family = random.choice([b"TCP4", b"TCP4", b"TCP6", b"TCP6", b"UNKNOWN", b"UDP4", b"tcp4"])
    version = random.choice([4, 6]) if random.random() < 0.1 else (6 if family == b"TCP6" else 4)
    odd_hosts = [b"", b"localhost", b"192.0.2.01", b"::1%eth0", b"1.2.3", b"\xff"]
    odd_ports = [b"", b"+80", b"080", b"-1", b"65536", b"8_0", b"http", b"\t80"]
    host = lambda: random.choice(odd_hosts) if random.random() < 0.08 else text_host(random, version)
    port = lambda: random.choice(odd_ports) if random.random() < 0.08 else b"%d" % random.choice([0, 80, 443, 65535])
    fields = [b"PROXY", family, host(), host(), port(), port()]
    if random.random() < 0.2:
        fields = fields[: random.randrange(1, 7)]
    if random.random() < 0.1:
        fields.append(random.choice([b"", b"more", b"x" * random.randrange(100)]))
    return b" ".join(fields) + (b"\r\n" if random.random() < 0.95 else random.choice([b"\n", b"", b"\r"]))


def tlv(random):
    kind = random.choice([1, 2, 4, 5, 0x20, 0x30, 0xE0])
    value = bytes(random.randrange(256) for _ in range(random.choice([0, 1, 5, 40])))
    return struct.pack("!BH", kind, len(value)) + value


def unix_name(random):
    raw = random.choice([b"/run/web.sock", b"\0abstract", b"", b"/a\0b", b"\0a\0b", b"x" * 108])
    return raw + bytes(108 - len(raw))


def binary_case(random):
    command = random.choice([0x21] * 12 + [0x20] * 2 + [0x11, 0x22, 0x31, 0x2F])
    family = random.choice([0x11] * 4 + [0x21] * 4 + [0x12, 0x22, 0x31, 0x32, 0x00, 0x01, 0x10, 0x13, 0x41, 0xFF])
    length = {0x10: 4, 0x20: 16}.get(family & 0xF0, 0)
    addresses = bytes(random.randrange(256) for _ in range(2 * length + 4 if length else 0))
    if family & 0xF0 == 0x30:
        addresses = unix_name(random) + unix_name(random)
    body = addresses + b"".join(tlv(random) for _ in range(random.choice([0, 0, 1, 2])))
    if random.random() < 0.1:
        body = body[: random.randrange(len(body) + 1)]
    if random.random() < 0.05:
        body += bytes(random.choice([1, 2, 3, 4079, 4080, 5000]))
    checked = random.random() < 0.3
    if checked:
        body += struct.pack("!BHI", 3, 4, 0)
    header = SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body
    if checked:
        header = header[:-4] + struct.pack("!I", crc32c(header) if random.random() < 0.8 else random.randrange(1 << 32))
    return header


def cut(random, data):
    """The pieces in which it arrives."""
    kind = random.randrange(4)
    if kind == 0:
        return [data]
    if kind == 1 and len(data) < 150:
        return [data[at : at + 1] for at in range(len(data))]
    first = random.choice([16, 20, random.randrange(1, 30)])
    ends = sorted({first, *(random.randrange(1, len(data) + 1) for _ in range(random.randrange(4)))} & set(range(1, len(data))))
    return [data[at:end] for at, end in zip([0, *ends], [*ends, len(data)])]


def case(random, target):
    data = line_case(random) if target == "proxy v1" else binary_case(random)
    if random.random() < 0.15:
        data = spoilt(random, data)
    if random.random() < 0.1:
        data = data[: 1 + random.randrange(len(data))]
    data += random.choice([b"", b"", b"data", b"\r\n", b"GET / HTTP/1.1\r\n\r\n"])
    return {}, [piece.hex() for piece in cut(random, data) if piece]


CASES = {"proxy v1": case, "proxy v2": case}
