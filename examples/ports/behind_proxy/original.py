"""A server behind a proxy, which says in a PROXY header whose connection it is.

Run:    python3 original.py 127.0.0.1:8126
"""

import sys

from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.basic import LineOnlyReceiver


class WhoAmI(LineOnlyReceiver):
    def lineReceived(self, line):
        peer, host = self.transport.getPeer(), self.transport.getHost()
        if line == b"who":
            self.sendLine(b"you are %s:%d" % (peer.host.encode("ascii"), peer.port))
        elif line == b"where":
            self.sendLine(b"you came to %s:%d" % (host.host.encode("ascii"), host.port))
        else:
            self.sendLine(b"say who or where")


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    endpoint = endpoints.serverFromString(reactor, "haproxy:tcp:%s:interface=%s" % (port, host))
    endpoint.listen(protocol.Factory.forProtocol(WhoAmI))
    reactor.run()
