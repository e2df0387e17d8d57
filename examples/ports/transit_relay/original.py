"""Starts the original, magic-wormhole-transit-relay, as it is installed, beside which the port is checked.

Run:    python3 original.py 127.0.0.1:4001 [--log-fd=1 ..]

Two connections of the same side wait in a Python set, out of which whichever comes first is met: chance. Here it is the one
that came first, so that what both do can be compared.
"""

import sys
from collections import defaultdict

from twisted.application.service import IService
from twisted.internet import reactor
from wormhole_transit_relay import server_state, server_tap


class InOrder(dict):
    """A set that is gone through in the order in which it was filled."""

    def add(self, item):
        self[item] = None

    def remove(self, item):
        del self[item]

    def discard(self, item):
        self.pop(item, None)


class PendingInOrder(server_state.PendingRequests):
    def __init__(self, active):
        super().__init__(active)
        self._requests = defaultdict(InOrder)


server_tap.transit_server.PendingRequests = PendingInOrder
host, port = sys.argv[1].split(":")
options = server_tap.Options()
options.parseOptions([f"--port=tcp:{port}:interface={host}", *sys.argv[2:]])
IService(server_tap.makeService(options)).startService()
reactor.run()
