"""A server of counters: `add NAME NUMBER`, `get NAME`, `quit`.

Run:    python3 original.py 127.0.0.1:8124
"""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols.basic import LineReceiver


class Counters(LineReceiver):
    MAX_LENGTH = 64

    def lineReceived(self, line):
        command, *arguments = line.split(b" ")
        method = getattr(self, "do_" + command.decode("ascii", "replace"), None)
        if method is None:
            self.sendLine(b"error: no such command")
            return
        try:
            method(*arguments)
        except (TypeError, ValueError):
            self.sendLine(b"error: wrong arguments")

    def do_add(self, name, number):
        if not number.isdigit():
            raise ValueError(number)
        counters = self.factory.counters
        counters[name] = (counters.get(name, 0) + int(number)) % 1000000
        self.do_get(name)

    def do_get(self, name):
        self.sendLine(b"%d" % self.factory.counters.get(name, 0))

    def do_quit(self):
        self.transport.loseConnection()


class CountersFactory(protocol.ServerFactory):
    protocol = Counters

    def __init__(self):
        self.counters = {}


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    reactor.listenTCP(int(port), CountersFactory(), interface=host)
    reactor.run()
