"""Guests that leave each other notes, over TLS: who a guest is, its certificate says.

Run:    python3 original.py 127.0.0.1:8130 keys anna ben     (ca.pem, server.pem and server.key are in keys)
"""

import sys
from pathlib import Path

from twisted.internet import interfaces, protocol, reactor, ssl
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer


@implementer(interfaces.IHandshakeListener)
class Guest(LineReceiver):
    name = None

    def handshakeCompleted(self):
        name = ssl.Certificate.peerFromTransport(self.transport).getSubject().CN
        if name not in self.factory.notes:
            self.sendLine(b"error: " + name + b" is not invited")
            self.transport.loseConnection()
            return
        if name in self.factory.here:
            self.factory.here[name].leave(b"You have come again.")
        self.name = name
        self.factory.here[name] = self
        for line in [b"Welcome, " + name + b"!", *self.factory.notes[name]]:
            self.sendLine(line)
        self.factory.notes[name].clear()

    def lineReceived(self, line):
        # With TLS a connection that is closed reads on until its peer has closed it, too.
        if self.name is None:
            return
        command, *arguments = line.split(b" ", 2)
        if command == b"who":
            self.sendLine(b"here: " + b" ".join(sorted(self.factory.here)))
        elif command == b"note" and len(arguments) == 2:
            self.note(arguments[0], self.name + b": " + arguments[1])
        elif command == b"quit":
            self.leave(b"Good bye.")
        else:
            self.sendLine(b"error: say who, note GUEST TEXT, or quit")

    def note(self, guest, note):
        if guest in self.factory.here:
            self.factory.here[guest].sendLine(note)
        elif guest in self.factory.notes and len(self.factory.notes[guest]) < 3:
            self.factory.notes[guest].append(note)
        else:
            self.sendLine(b"error: no note can be left for " + guest)

    def leave(self, message):
        self.sendLine(message)
        self.transport.loseConnection()
        self.connectionLost()

    def connectionLost(self, reason=None):
        if self.name is not None:
            del self.factory.here[self.name]
            self.name = None


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    authority, chain, key = [(Path(sys.argv[2]) / name).read_bytes() for name in ("ca.pem", "server.pem", "server.key")]
    options = ssl.PrivateCertificate.loadPEM(chain + key).options(ssl.Certificate.loadPEM(authority))
    factory = protocol.Factory.forProtocol(Guest)
    factory.here, factory.notes = {}, {guest.encode(): [] for guest in sys.argv[3:]}
    reactor.listenSSL(int(port), factory, options, interface=host)
    reactor.run()
