"""A client that connects again whenever it has lost its server, until it is told to stop.

Run:    python3 original.py 127.0.0.1:8129
"""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols.basic import LineReceiver


class Agent(LineReceiver):
    def connectionMade(self):
        self.factory.resetDelay()
        self.factory.connections += 1
        self.sendLine(b"connection %d" % self.factory.connections)

    def lineReceived(self, line):
        if line == b"ping":
            self.sendLine(b"pong")
        elif line == b"again":
            self.transport.loseConnection()
        elif line == b"stop":
            self.factory.stopTrying()
            self.transport.loseConnection()


class AgentFactory(protocol.ReconnectingClientFactory):
    protocol = Agent
    initialDelay = 0.01
    jitter = 0
    connections = 0

    def clientConnectionLost(self, connector, reason):
        protocol.ReconnectingClientFactory.clientConnectionLost(self, connector, reason)
        if not self.continueTrying:
            reactor.stop()


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    reactor.connectTCP(host, int(port), AgentFactory())
    reactor.run()
