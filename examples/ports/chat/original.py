"""A chat: whoever comes gives a name, and what one says all others hear.

Run:    python3 original.py 127.0.0.1:8123
"""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols.basic import LineReceiver


class Chat(LineReceiver):
    name = None

    def connectionMade(self):
        self.sendLine(b"What's your name?")

    def connectionLost(self, reason):
        if self.name is not None:
            del self.factory.people[self.name]
            self.tell(self.name + b" has left.")

    def lineReceived(self, line):
        if self.name is None:
            self.enter(line)
        elif line == b"/quit":
            self.sendLine(b"Good bye.")
            self.transport.loseConnection()
        else:
            self.tell(b"<" + self.name + b"> " + line)

    def enter(self, name):
        if not name or name in self.factory.people:
            self.sendLine(b"Please choose another name.")
            return
        self.name = name
        self.factory.people[name] = self
        self.sendLine(b"Welcome, " + name + b"!")
        self.tell(name + b" has come.")

    def tell(self, message):
        for person in self.factory.people.values():
            if person is not self:
                person.sendLine(message)


class ChatFactory(protocol.ServerFactory):
    protocol = Chat

    def __init__(self):
        self.people = {}


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    reactor.listenTCP(int(port), ChatFactory(), interface=host)
    reactor.run()
