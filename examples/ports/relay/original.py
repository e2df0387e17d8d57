"""A relay: two who say `relay TOKEN` with the same token hear each other, as fast as the slower one reads.

Run:    python3 original.py 127.0.0.1:8125
"""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols.basic import LineReceiver


class Relay(LineReceiver):
    buddy = None
    token = None

    def lineReceived(self, line):
        if not line.startswith(b"relay "):
            self.sendLine(b"error: say relay TOKEN")
            self.transport.loseConnection()
            return
        self.token = line[len(b"relay "):]
        self.setRawMode()
        other = self.factory.waiting.pop(self.token, None)
        if other is None:
            self.factory.waiting[self.token] = self
        else:
            self.pair(other)
            other.pair(self)

    def pair(self, buddy):
        self.buddy = buddy
        self.sendLine(b"ok")
        self.transport.registerProducer(buddy.transport, True)

    def rawDataReceived(self, data):
        if self.buddy is not None:
            self.buddy.transport.write(data)
        else:
            self.sendLine(b"error: nobody is there yet")
            self.transport.loseConnection()
            self.forget()

    def connectionLost(self, reason):
        self.forget()
        if self.buddy is not None:
            buddy, self.buddy = self.buddy, None
            buddy.buddy = None
            buddy.transport.unregisterProducer()
            buddy.transport.loseConnection()

    def forget(self):
        if self.factory.waiting.get(self.token) is self:
            del self.factory.waiting[self.token]


class RelayFactory(protocol.ServerFactory):
    protocol = Relay

    def __init__(self):
        self.waiting = {}


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    reactor.listenTCP(int(port), RelayFactory(), interface=host)
    reactor.run()
