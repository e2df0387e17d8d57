"""Names that are held for a moment: a tree of two services, one that listens and one that lets the names go.

Run:    python3 original.py 127.0.0.1:8127
"""

import sys

from twisted.application import internet, service
from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.basic import LineReceiver


class Lease(LineReceiver):
    def lineReceived(self, line):
        holders = self.factory.holders
        if not line.startswith(b"hold "):
            self.sendLine(b"error: say hold NAME")
        elif line[5:] in holders:
            self.sendLine(b"taken " + line[5:])
        else:
            holders[line[5:]] = self
            self.sendLine(b"held " + line[5:])

    def connectionLost(self, reason):
        holders = self.factory.holders
        for name in [name for name, holder in holders.items() if holder is self]:
            del holders[name]


class LeaseFactory(protocol.ServerFactory):
    protocol = Lease

    def __init__(self):
        self.holders = {}

    def sweep(self):
        holders, self.holders = self.holders, {}
        for name, holder in sorted(holders.items()):
            holder.sendLine(b"expired " + name)


def make_service(address):
    host, port = address.split(":")
    factory = LeaseFactory()
    parent = service.MultiService()
    endpoint = endpoints.TCP4ServerEndpoint(reactor, int(port), interface=host)
    internet.StreamServerEndpointService(endpoint, factory).setServiceParent(parent)
    internet.TimerService(0.02, factory.sweep).setServiceParent(parent)
    return parent


if __name__ == "__main__":
    parent = make_service(sys.argv[1])
    parent.startService()
    reactor.addSystemEventTrigger("before", "shutdown", parent.stopService)
    reactor.run()
