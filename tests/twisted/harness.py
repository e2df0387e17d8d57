"""Treats a real Twisted protocol as a TCP connection would, and records what happens.

`StringTransport` records but does nothing else; a connection delivers nothing while it is paused or closing, and ends after
it was closed. The vectors are about protocols on connections, so this adds exactly those rules.
"""

import zlib

from twisted.internet import error
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure


def shown(data):
    """Bytes as a vector has them: hexadecimal, or length and checksum if that would be long."""
    return data.hex() if len(data) <= 512 else "%d:%08x" % (len(data), zlib.crc32(data))


class Recorder(StringTransport):
    """A transport that adds to `events` each call that changes something."""

    def __init__(self, events, prefix=()):
        super().__init__(lenient=True)
        self.events = events
        self.prefix = list(prefix)
        self.lost = False

    def note(self, *event):
        self.events.append(self.prefix + list(event))

    def write(self, data):
        super().write(data)
        if self.lost or self.disconnected or not data:
            return
        # How a message is cut into writes is not part of a protocol's behaviour.
        last = self.events[-1] if self.events else None
        if last and isinstance(last[-1], _Written) and last[:-1] == self.prefix + ["write"]:
            last[-1].data += data
        else:
            self.note("write", _Written(data))

    def writeSequence(self, pieces):
        self.write(b"".join(pieces))

    def loseConnection(self):
        if not self.disconnecting and not self.lost:
            self.note("lose")
        self.disconnecting = True

    def abortConnection(self):
        if not self.disconnected and not self.lost:
            self.note("abort")
        self.disconnected = self.disconnecting = True

    def pauseProducing(self):
        if self.producerState == "producing":
            self.note("pause")
        self.producerState = "paused"

    def resumeProducing(self):
        if self.producerState == "paused":
            self.note("resume")
        self.producerState = "producing"

    def registerProducer(self, producer, streaming):
        super().registerProducer(producer, streaming)
        self.note("register", bool(streaming))

    def unregisterProducer(self):
        super().unregisterProducer()
        self.note("unregister")


class _Written:
    def __init__(self, data):
        self.data = data


class Connection:
    """One protocol on a `Recorder`, from `makeConnection` to `connectionLost`."""

    def __init__(self, protocol, events, prefix=()):
        self.transport = Recorder(events, prefix)
        self.protocol = protocol
        self.arrived = b""
        self.reason = None

    def make(self):
        self.guard(lambda: self.protocol.makeConnection(self.transport))

    def deliver(self, data):
        self.arrived += data
        self.settle()

    def guard(self, call):
        try:
            call()
        except Exception:
            self.lose("error", Failure())
        self.settle()

    def settle(self):
        transport = self.transport
        while self.reason is None:
            if transport.disconnected:
                return self.lose("aborted", Failure(error.ConnectionAborted()))
            if transport.disconnecting:
                self.arrived = b""
                if transport.producer is None:
                    self.lose("done", Failure(error.ConnectionDone()))
                return
            if transport.producerState != "producing" or not self.arrived:
                return
            data, self.arrived = self.arrived, b""
            try:
                self.protocol.dataReceived(data)
            except Exception:
                self.lose("error", Failure())

    def lose(self, kind, failure):
        if self.reason is not None:
            return
        self.reason = kind
        transport = self.transport
        if transport.producer is not None:
            producer, transport.producer = transport.producer, None
            producer.stopProducing()
        transport.lost = True
        transport.note("lost", kind)
        try:
            self.protocol.connectionLost(failure)
        except Exception:
            transport.note("error_in_connection_lost")


def finished(events):
    """The events as a vector has them."""
    return [
        [shown(item.data) if isinstance(item, _Written) else item for item in event] for event in events
    ]
