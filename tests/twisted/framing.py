"""Line, netstring, length-prefixed and stateful protocols: scripts for them, and what Twisted does with the scripts.

Each target has a class `Deviating...`: Twisted's, with the changes that Torsade makes on purpose. Each change can be
switched on separately. Vectors on which one has an effect are marked.
"""

import math
import re
from struct import unpack

from twisted.protocols import basic, stateful

from harness import Connection, shown

CLOSING = "a closing connection delivers nothing more"
PAUSED = "a paused transport stops every receiver between messages"
REENTRY = "resuming inside a callback does not parse a chunk again (Twisted issue 5075)"
KEPT_OPEN = "after an overrun that does not close, what was buffered is dropped (Twisted issue 8105)"
NEWLINE = "a line feed after a netstring's digits is refused at once, not at the next byte"


class Script:
    """A test's protocol: records what it receives, and makes the next of its given calls."""

    deviations = frozenset()

    def __init__(self, events, config, deviations=frozenset()):
        self.events = events
        self.actions = list(config.get("actions", []))
        self.keep_open = config.get("keep_open", False)
        self.deviations = deviations
        self.raw_left = 0
        if "max_length" in config:
            self.MAX_LENGTH = config["max_length"]
        if "delimiter" in config:
            self.delimiter = bytes.fromhex(config["delimiter"])

    def got(self, *event):
        self.events.append(list(event))
        for name, *args in self.actions.pop(0) if self.actions else []:
            self.act(name, *args)

    def act(self, name, *args):
        if name == "send":
            self.send(bytes.fromhex(args[0]))
        elif name == "write":
            self.transport.write(bytes.fromhex(args[0]))
        elif name == "lose":
            self.transport.loseConnection()
        elif name == "abort":
            self.transport.abortConnection()
        elif name == "pause":
            getattr(self, "pauseProducing", self.transport.pauseProducing)()
        elif name == "pause_transport":
            self.transport.pauseProducing()
        elif name == "resume":
            getattr(self, "resumeProducing", self.transport.resumeProducing)()
        elif name == "raw":
            self.raw_left = args[0]
            self.setRawMode()
        elif name == "clear":
            self.events.append(["cleared", shown(self.clear())])
        elif name == "delimiter":
            self.delimiter = bytes.fromhex(args[0])
        elif name == "max":
            self.MAX_LENGTH = args[0]
        elif name == "fail":
            raise ValueError("as the script says")

    def stops(self):
        """Whether a deviation stops delivery now."""
        transport = self.transport
        return (CLOSING in self.deviations and transport.disconnecting) or (
            PAUSED in self.deviations and transport.producerState == "paused"
        )

    def resumed(self):
        """Goes on with what was held back while the transport was paused."""
        if PAUSED in self.deviations and self.transport.producerState == "producing":
            self.dataReceived(b"")


class Line(Script, basic.LineReceiver):
    def lineReceived(self, line):
        self.got("line", shown(line))

    def rawDataReceived(self, data):
        self.events.append(["raw", shown(data)])
        rest = data[self.raw_left :]
        self.raw_left -= len(data)
        if self.raw_left <= 0:
            self.setLineMode(rest)

    def lineLengthExceeded(self, line):
        self.events.append(["exceeded", shown(line)])
        if not self.keep_open:
            return super().lineLengthExceeded(line)

    def send(self, data):
        self.sendLine(data)

    def clear(self):
        return self.clearLineBuffer()


class DeviatingLine(Line):
    def dataReceived(self, data):
        self._buffer += data
        if self._busyReceiving:
            return
        self._busyReceiving = True
        try:
            while self._buffer and not self.paused and not self.stops():
                if not self.line_mode:
                    data, self._buffer = self._buffer, b""
                    self.rawDataReceived(data)
                    continue
                line, delimiter, rest = self._buffer.partition(self.delimiter)
                if len(line) > self.MAX_LENGTH if delimiter else len(line) >= self.MAX_LENGTH + len(self.delimiter):
                    self._buffer = b""
                    return self.lineLengthExceeded(line + delimiter + rest)
                if not delimiter:
                    return
                self._buffer = rest
                self.lineReceived(line)
                if self.transport.disconnecting:
                    return
        finally:
            self._busyReceiving = False


class LineOnly(Script, basic.LineOnlyReceiver):
    def lineReceived(self, line):
        self.got("line", shown(line))

    def lineLengthExceeded(self, line):
        self.events.append(["exceeded", shown(line)])
        if not self.keep_open:
            return super().lineLengthExceeded(line)

    def send(self, data):
        self.sendLine(data)


class DeviatingLineOnly(LineOnly):
    busy = False

    def dataReceived(self, data):
        if not self.deviations & {PAUSED, KEPT_OPEN}:
            return super().dataReceived(data)
        self._buffer += data
        if self.busy:
            return
        self.busy = True
        try:
            while self._buffer and not self.stops() and not self.transport.disconnecting:
                line, delimiter, rest = self._buffer.partition(self.delimiter)
                if len(line) > self.MAX_LENGTH:
                    # Torsade drops everything it has read; Twisted goes on after the last delimiter.
                    if KEPT_OPEN in self.deviations:
                        self._buffer = b""
                    else:
                        self._buffer = self._buffer.split(self.delimiter)[-1]
                    return self.lineLengthExceeded(line)
                if not delimiter:
                    return
                self._buffer = rest
                self.lineReceived(line)
        finally:
            self.busy = False


class Netstring(Script, basic.NetstringReceiver):
    def stringReceived(self, string):
        self.got("string", shown(string))

    def send(self, data):
        self.sendString(data)


class DeviatingNetstring(Netstring):
    busy = False

    @property
    def _LENGTH_PREFIX(self):
        return re.compile(rb"(0|[1-9]\d*)\Z") if NEWLINE in self.deviations else basic.NetstringReceiver._LENGTH_PREFIX

    def dataReceived(self, data):
        self._remainingData += data
        if self.busy:
            return
        self.busy = True
        try:
            while self._remainingData and not self.stops():
                try:
                    self._consumeData()
                except basic.IncompleteNetstring:
                    break
                except basic.NetstringParseError:
                    self._handleParseError()
                    break
        finally:
            self.busy = False


class IntN(Script):
    def stringReceived(self, string):
        self.got("string", shown(string))

    def lengthLimitExceeded(self, length):
        self.events.append(["exceeded", length])
        if not self.keep_open:
            super().lengthLimitExceeded(length)

    def send(self, data):
        try:
            self.sendString(data)
        except basic.StringTooLongError:
            self.events.append(["too_long", len(data)])

    def clear(self):
        rest = self.recvd
        self.recvd = b""
        return rest


class Int8(IntN, basic.Int8StringReceiver):
    pass


class Int16(IntN, basic.Int16StringReceiver):
    pass


class Int32(IntN, basic.Int32StringReceiver):
    pass


class DeviatingIntN:
    """Twisted's loop, over a buffer that is consumed as it is parsed, so that nothing is parsed twice."""

    busy = failed = False

    def dataReceived(self, data):
        if self.failed:
            return
        if REENTRY not in self.deviations:
            return self.twisteds_loop(data)
        self._unprocessed += data
        if self.busy:
            return
        self.busy = True
        try:
            while len(self._unprocessed) >= self.prefixLength and not self.paused and not self.stops():
                (length,) = unpack(self.structFormat, self._unprocessed[: self.prefixLength])
                if length > self.MAX_LENGTH:
                    self.failed = KEPT_OPEN in self.deviations
                    return self.lengthLimitExceeded(length)
                end = self.prefixLength + length
                if len(self._unprocessed) < end:
                    return
                string, self._unprocessed = self._unprocessed[self.prefixLength : end], self._unprocessed[end:]
                self.stringReceived(string)
                if "recvd" in self.__dict__:
                    self._unprocessed = self.__dict__.pop("recvd")
        finally:
            self.busy = False

    def twisteds_loop(self, data):
        """Twisted's own code with `stops` in the condition."""
        alldata = self._unprocessed + data
        offset = 0
        self._unprocessed = alldata
        while len(alldata) >= offset + self.prefixLength and not self.paused and not self.stops():
            start = offset + self.prefixLength
            (length,) = unpack(self.structFormat, alldata[offset:start])
            if length > self.MAX_LENGTH:
                self._unprocessed = alldata
                self._compatibilityOffset = offset
                self.failed = KEPT_OPEN in self.deviations
                return self.lengthLimitExceeded(length)
            if len(alldata) < start + length:
                break
            offset = self._compatibilityOffset = start + length
            self.stringReceived(alldata[start:offset])
            if "recvd" in self.__dict__:
                alldata = self._unprocessed = self.__dict__.pop("recvd")
                self._compatibilityOffset = offset = 0
                if not alldata:
                    return
        self._unprocessed = alldata[offset:]
        self._compatibilityOffset = 0


class DeviatingInt8(DeviatingIntN, Int8):
    pass


class DeviatingInt16(DeviatingIntN, Int16):
    pass


class DeviatingInt32(DeviatingIntN, Int32):
    pass


class Stateful(Script, stateful.StatefulProtocol):
    """`states` is a list of (bytes wanted, index of the next state or None to stay)."""

    def __init__(self, events, config, deviations=frozenset()):
        super().__init__(events, config, deviations)
        self.states = config["states"]

    def getInitialState(self):
        return self.state(0)

    def state(self, index):
        wanted, following = self.states[index]

        def received(data):
            self.got("state", index, shown(data))
            return None if following is None else self.state(following)

        return received, wanted


class DeviatingStateful(Stateful):
    held = b""
    busy = False

    def dataReceived(self, data):
        self.held += data
        if self.busy:
            return
        self.busy = True
        try:
            current, _, _ = self._sful_data
            while len(self.held) >= current[1] and not self.stops():
                data, self.held = self.held[: current[1]], self.held[current[1] :]
                following = current[0](data)
                if self.transport.disconnecting:
                    return
                current = following or current
                self._sful_data = current, None, 0
        finally:
            self.busy = False


TARGETS = {
    "line": (Line, DeviatingLine, [CLOSING, PAUSED]),
    "line_only": (LineOnly, DeviatingLineOnly, [PAUSED, KEPT_OPEN]),
    "netstring": (Netstring, DeviatingNetstring, [CLOSING, PAUSED, NEWLINE]),
    "int8": (Int8, DeviatingInt8, [CLOSING, PAUSED, REENTRY, KEPT_OPEN]),
    "int16": (Int16, DeviatingInt16, [CLOSING, PAUSED, REENTRY, KEPT_OPEN]),
    "int32": (Int32, DeviatingInt32, [CLOSING, PAUSED, REENTRY, KEPT_OPEN]),
    "stateful": (Stateful, DeviatingStateful, [PAUSED]),
}


def play(target, config, steps, deviations=None):
    """The events of a script, with Twisted's own class or with the one that has `deviations`."""
    twisteds, deviating, _ = TARGETS[target]
    events = []
    if deviations is None:
        protocol = twisteds(events, config)
    else:
        protocol = deviating(events, config, frozenset(deviations))
    connection = Connection(protocol, events)
    connection.make()
    for step in steps:
        if connection.reason:
            break
        if "deliver" in step:
            connection.deliver(bytes.fromhex(step["deliver"]))
        else:

            def call():
                protocol.act(step["call"], *step["args"])
                if step["call"] == "resume":
                    protocol.resumed()

            connection.guard(call)
    return events


def split(random, data):
    """Cuts `data` anywhere: in one piece, in single bytes, or in between."""
    kind = random.randrange(4)
    if kind == 0 or not data:
        return [data] if data else []
    if kind == 1 and len(data) <= 80:
        return [data[i : i + 1] for i in range(len(data))]
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, 6)))
    pieces = [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]
    return [piece for piece in pieces if piece]


def text(random, length):
    return bytes(random.choice(b"ab \r\n,:019\0") for _ in range(length))


def near(random, limit):
    """A length at or around a limit, or a short one."""
    return max(0, random.choice([0, 1, 2, 3, limit - 2, limit - 1, limit, limit, limit + 1, limit + 1, limit + 2, limit + 3]))


def actions(random, kinds, count):
    """For each of `count` messages the calls made when it arrives: mostly none."""

    def one():
        name = random.choice(kinds)
        if name in ("send", "write"):
            return [name, text(random, random.randrange(6)).hex()]
        if name == "raw":
            return [name, random.randrange(1, 12)]
        if name == "delimiter":
            return [name, random.choice([b"\r\n", b"\n", b"\0", b"ab", b"aab"]).hex()]
        if name == "max":
            return [name, random.randrange(1, 20)]
        return [name]

    return [[one() for _ in range(random.choice([0, 0, 0, 0, 1, 1, 2]))] for _ in range(count)]


def steps_for(random, data, calls):
    """Deliveries of `data`, with outside calls in between."""
    steps = []
    for piece in split(random, data):
        if random.random() < 0.15:
            steps.append({"call": random.choice(calls), "args": []})
        steps.append({"deliver": piece.hex()})
    # A pause ends at last, or the vector would show little.
    steps += [{"call": "resume", "args": []} for _ in range(random.randrange(4))]
    return steps


def line_case(random, target):
    config = {}
    limit = 16384
    if random.random() < 0.96:
        limit = config["max_length"] = random.randrange(1, 24)
    delimiter = b"\r\n"
    if random.random() < 0.3:
        delimiter = random.choice([b"\n", b"\0", b"\r\n\r\n", b"aab", b"--"])
        config["delimiter"] = delimiter.hex()
    if random.random() < 0.2:
        config["keep_open"] = True
    data = b""
    for _ in range(random.randrange(1, 8) if limit < 1000 else 2):
        kind = random.randrange(10)
        if kind < 5:
            length = near(random, limit)
            data += (text(random, length) if length < 100 else b"x" * length) + delimiter
        elif kind < 7:
            data += b"y" * random.randrange(min(limit, 30)) + delimiter
        elif kind == 7:
            data += delimiter[: random.randrange(len(delimiter)) + 1]
        elif kind == 8:
            data += delimiter * random.randrange(1, 4)
        else:
            data += b"z" * near(random, limit)
    kinds = ["send", "write", "lose", "pause", "pause", "resume", "max", "fail", "abort"]
    if target == "line":
        kinds += ["raw", "raw", "clear", "delimiter", "pause_transport"]
    config["actions"] = actions(random, kinds, random.randrange(10))
    return config, steps_for(random, data, ["pause", "resume", "resume", "lose"] if random.random() < 0.3 else ["resume"])


def netstring_case(random, _):
    config = {}
    limit = 99999
    if random.random() < 0.97:
        limit = config["max_length"] = random.choice([1, 5, 9, 10, 11, 12, 99, 100, 101])
    data = b""
    for _ in range(random.randrange(1, 8) if limit < 1000 else 1):
        body = b"q" * near(random, limit) if random.random() < 0.3 or limit > 1000 else text(random, random.randrange(min(limit, 15) + 1))
        data += b"%d:%s," % (len(body), body)
    if random.random() < 0.4:
        data += random.choice(
            [b":", b",", b"a", b" 3:abc,", b"+3:abc,", b"-1:,", b"03:abc,", b"00:,", b"3:abcd,", b"3:ab,", b"3abc,", b"3\n", b"3\n:abc,"]
            + [b"%d:" % (limit + 1), b"%d" % (limit + 1), b"%d" % (limit * 10), b"9" * (int(math.log10(limit)) + 3), b"0:;", b"1:", b"5:abc"]
        )
        data += text(random, random.randrange(6))
    config["actions"] = actions(random, ["send", "write", "lose", "pause", "pause", "resume", "max", "fail", "abort"], random.randrange(8))
    return config, steps_for(random, data, ["pause", "resume", "resume", "lose"] if random.random() < 0.3 else ["resume"])


def int_case(random, target):
    width = {"int8": 1, "int16": 2, "int32": 4}[target]
    config = {}
    limit = 99999
    if random.random() < 0.97 or width == 1:
        limit = config["max_length"] = random.randrange(1, 30)
    if random.random() < 0.25:
        config["keep_open"] = True
    data = b""
    for _ in range(random.randrange(1, 8) if limit < 1000 else 1):
        length = near(random, limit) if random.random() < 0.2 or limit > 1000 else random.randrange(limit + 1)
        length = min(length, 256**width - 1)
        data += length.to_bytes(width, "big") + (text(random, length) if length < 100 else b"w" * length)
    if random.random() < 0.2:
        data += random.choice([b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\0", b"\0\0\0"]) + text(random, random.randrange(5))
    kinds = ["send", "write", "lose", "pause", "pause", "resume", "clear", "max", "fail", "abort", "pause_transport"]
    config["actions"] = actions(random, kinds, random.randrange(8))
    if target == "int8" and random.random() < 0.1:
        config["actions"].append([["send", "61" * random.choice([254, 255, 256, 257])]])
    return config, steps_for(random, data, ["pause", "resume", "resume", "lose"] if random.random() < 0.3 else ["resume"])


def stateful_case(random, _):
    count = random.randrange(1, 5)
    # A state that wants no bytes must lead to one that does, or Twisted loops for ever.
    states = [[random.randrange(1, 9), random.choice([None] + list(range(count)))] for _ in range(count)]
    if count > 1 and random.random() < 0.3:
        states[-1] = [0, 0]
    config = {"states": states}
    config["actions"] = actions(random, ["write", "lose", "pause", "resume", "fail", "abort"], random.randrange(8))
    return config, steps_for(random, text(random, random.randrange(60)), ["pause", "resume", "resume"])


CASES = {
    "line": line_case,
    "line_only": line_case,
    "netstring": netstring_case,
    "int8": int_case,
    "int16": int_case,
    "int32": int_case,
    "stateful": stateful_case,
}
