"""The server of `compare` on Twisted: ADDRESS-PORT CERT KEY."""

import sys

from twisted.internet import interfaces, protocol, reactor, ssl
from zope.interface import implementer

BULK = 256 << 20
PIECE = b"x" * 65536


@implementer(interfaces.IPullProducer)
class Bulk:
    def __init__(self, transport):
        self.transport = transport
        self.left = BULK

    def resumeProducing(self):
        self.transport.write(PIECE)
        self.left -= len(PIECE)
        if self.left == 0:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self):
        pass


class Server(protocol.Protocol):
    awaited = 0

    def dataReceived(self, data):
        if not self.awaited and data.startswith(b"PUT "):
            self.awaited = BULK
        if self.awaited:
            self.awaited = max(self.awaited - len(data), 0)
            if not self.awaited:
                self.transport.write(b"done")
        elif data.startswith(b"GET "):
            self.transport.write(b"HTTP/1.0 200 OK\r\n\r\n")
            self.transport.registerProducer(Bulk(self.transport), False)
        else:
            self.transport.write(data)


host, port = sys.argv[1].rsplit(":", 1)
pem = open(sys.argv[2], "rb").read() + open(sys.argv[3], "rb").read()
options = ssl.PrivateCertificate.loadPEM(pem).options()
reactor.listenSSL(int(port), protocol.Factory.forProtocol(Server), options, interface=host, backlog=1024)
reactor.run()
