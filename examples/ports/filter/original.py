"""A server that sorts: each connection goes through a program of its own, until the peer's stream ends.

Run:    python3 original.py 127.0.0.1:8130
"""

import os
import sys

from twisted.internet import error, interfaces, protocol, reactor
from zope.interface import implementer


class Output(protocol.ProcessProtocol):
    def __init__(self, connection):
        self.connection = connection

    def outReceived(self, data):
        self.connection.transport.write(data)

    def processEnded(self, reason):
        self.connection.transport.loseConnection()


@implementer(interfaces.IHalfCloseableProtocol)
class Filter(protocol.Protocol):
    def connectionMade(self):
        environment = dict(os.environ, LC_ALL="C")
        self.process = reactor.spawnProcess(Output(self), "sort", ["sort"], environment)

    def dataReceived(self, data):
        self.process.write(data)

    def readConnectionLost(self):
        self.process.closeStdin()

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        try:
            self.process.signalProcess("TERM")
        except error.ProcessExitedAlready:
            pass


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    reactor.listenTCP(int(port), protocol.Factory.forProtocol(Filter), interface=host)
    reactor.run()
