"""A client that asks several questions at once, by Deferreds: answers come in any order.

Run:    python3 original.py 127.0.0.1:8131
"""

import sys

from twisted.internet import defer, endpoints, task
from twisted.protocols.basic import LineReceiver


class Asker(LineReceiver):
    def __init__(self):
        self.asked = 0
        self.waiting = {}
        self.lost = defer.Deferred()

    def ask(self, question):
        self.asked += 1
        self.sendLine(b"%d %s" % (self.asked, question))
        answer = self.waiting[b"%d" % self.asked] = defer.Deferred()
        return answer

    def lineReceived(self, line):
        number, _, text = line.partition(b" ")
        answer = self.waiting.pop(number, None)
        if answer is None:
            self.sendLine(b"nobody asked")
        elif text == b"error":
            answer.errback(ValueError("refused"))
        else:
            answer.callback(text)

    def connectionLost(self, reason):
        waiting, self.waiting = self.waiting, {}
        for answer in waiting.values():
            answer.errback(reason)
        self.lost.callback(None)


def or_nothing(failure):
    failure.trap(ValueError)
    return b"nothing"


def work(asker):
    names = [asker.ask(b"name").addErrback(or_nothing) for _ in range(3)]
    done = defer.gatherResults(names, consumeErrors=True)
    done.addCallback(lambda names: asker.ask(b"sum of " + b", ".join(names)))
    done.addCallback(lambda answer: asker.sendLine(b"so it is " + answer))
    done.addCallback(lambda _: asker.transport.loseConnection())
    done.addCallback(lambda _: asker.lost)
    return done


def main(reactor, address):
    host, port = address.split(":")
    endpoint = endpoints.TCP4ClientEndpoint(reactor, host, int(port))
    return endpoints.connectProtocol(endpoint, Asker()).addCallback(work)


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
