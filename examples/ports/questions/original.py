"""A client that asks one question after the other, each when the last was answered; `inlineCallbacks`.

Run:    python3 original.py 127.0.0.1:8128
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.protocols.basic import LineReceiver


class Questions(LineReceiver):
    def __init__(self):
        self.answers = defer.DeferredQueue()
        self.lost = defer.Deferred()

    def lineReceived(self, line):
        self.answers.put(line)

    def connectionLost(self, reason):
        self.answers.put(None)
        self.lost.callback(None)

    @defer.inlineCallbacks
    def ask(self, question):
        self.sendLine(question)
        answer = yield self.answers.get()
        if answer is None:
            raise ConnectionError("there is nobody any more")
        return answer


@defer.inlineCallbacks
def main(reactor, address):
    host, port = address.split(":")
    endpoint = endpoints.TCP4ClientEndpoint(reactor, host, int(port))
    client = yield endpoints.connectProtocol(endpoint, Questions())
    name = yield client.ask(b"Who are you?")
    for number in range(1, 4):
        answer = yield client.ask(b"%s, what is %d?" % (name, number))
        if answer == b"enough":
            break
    client.sendLine(b"Thank you.")
    client.transport.loseConnection()
    # Without this the reactor would stop, and drop what is not sent yet.
    yield client.lost


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
