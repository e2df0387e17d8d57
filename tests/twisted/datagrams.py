"""UDP ports: scripts for them, and what Twisted does with the scripts.

The ports are Twisted's, on real loopback sockets. A simple reactor takes the place of the poll: after each step it notifies every
port that has something to read, in the order in which they were made, until none has. So nothing depends on timing.
"""

import select
import socket

from twisted.internet import error, protocol, udp
from twisted.internet.task import Clock
from twisted.python import log

from harness import shown

STOPPED = "after stop_listening nothing more is delivered, where Twisted goes on with what it is reading"
TOLD = "a datagram that cannot be sent is told by a hook at the end of the turn, where write raises"
RECONNECT = "a port that is connected can be connected to another peer, where Twisted raises RuntimeError"

log.startLoggingWithObserver(lambda event: None, setStdout=False)


LAST = ["refused", "dropped", "stop"]


class Reactor(Clock):
    """A clock, and the descriptors to poll."""

    def __init__(self):
        super().__init__()
        self.readers = []

    def addReader(self, reader):
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader):
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer):
        pass


class Probe(protocol.DatagramProtocol):
    """Records its callbacks, and does what the script says for the datagram's first byte."""

    noisy = False

    def __init__(self, world, number):
        self.world, self.number = world, number

    def note(self, *event):
        self.world.events.append([self.number, *event])

    def startProtocol(self):
        self.note("start")

    def datagramReceived(self, data, address):
        self.note("data", shown(data), self.world.number_of(address))
        self.world.act(self.number, data[:1], address)

    def connectionRefused(self):
        self.note("refused")

    def stopProtocol(self):
        self.note("stop")


class World:
    def __init__(self, config, deviations):
        self.config, self.deviations = config, frozenset(deviations or ())
        self.events, self.reactor = [], Reactor()
        self.ports, self.addresses = [], []
        self.untold = set()
        self.stopped = set()

    def number_of(self, address):
        return self.addresses.index(tuple(address))

    def listen(self):
        number = len(self.ports)
        port = udp.Port(0, Probe(self, number), "127.0.0.1", self.config["max"], self.reactor)
        self.ports.append(port)
        port.startListening()
        self.addresses.append(port.socket.getsockname())

    def open(self, number):
        return number < len(self.ports) and self.ports[number].connected and number not in self.stopped

    def write(self, number, data, address):
        """Catches every exception, as a program may."""
        port = self.ports[number]
        try:
            port.write(data, address)
        except (error.MessageLengthError, error.InvalidAddressError):
            self.fail(number)
        except AssertionError:
            self.fail(number)

    def fail(self, number):
        if TOLD in self.deviations:
            self.untold.add(number)
        else:
            self.events.append([number, "error"])

    def act(self, number, action, address):
        """What a protocol does in datagramReceived."""
        if action == b"e":
            raise ValueError("deliberate")
        if action == b"r":
            self.write(number, b"answer", address if self.ports[number]._connectedAddr is None else None)
        if action == b"s":
            self.stop(number)
        if action == b"l":
            self.write(number, b"x" * 65508, address if self.ports[number]._connectedAddr is None else None)

    def stop(self, number):
        if self.open(number):
            self.stopped.add(number)
            self.ports[number].stopListening()
            if STOPPED in self.deviations:
                self.ports[number].maxThroughput = -1

    def settle(self):
        """Notifies the ports as the poll would, until nothing is left to read."""
        while True:
            ready = [port for port in self.ports if port in self.reactor.readers and select.select([port.socket], [], [], 0)[0]]
            for port in ready:
                if port in self.reactor.readers:
                    port.doRead()
            self.reactor.advance(0)
            if not ready:
                break
        self.events += [[number, "dropped"] for number in self.untold]
        self.untold.clear()

    def play(self, steps):
        events = []
        for step in steps:
            getattr(self, "step_" + step["call"])(*step["args"])
            self.settle()
            events += self.of_step()
        for number in range(len(self.ports)):
            self.stop(number)
        self.reactor.advance(0)
        return events + self.of_step()

    def of_step(self):
        """The events of a step, by ports, since their interleaving means nothing. A refusal or a drop is listed once, after
        what was received and before the stop, since how often it is reported depends on the turns of the step."""
        events = []
        for event in sorted(self.events, key=lambda event: (event[0], LAST.index(event[1]) if event[1] in LAST else -1)):
            if event[1] not in LAST or event not in events:
                events.append(event)
        self.events[:] = []
        return events

    def step_listen(self):
        self.listen()

    def step_send(self, number, to, data):
        """A datagram, or several at a time; only one to a closed peer, since the system decides how often that is reported."""
        if not self.open(number) or to >= len(self.ports):
            return
        peer = self.ports[number]._connectedAddr
        gone = peer is not None and not self.open(self.number_of(peer))
        for datagram in data[:1] if gone else data:
            self.write(number, bytes.fromhex(datagram), self.addresses[to] if peer is None else None)

    def step_connect(self, number, to):
        if not self.open(number) or to >= len(self.ports) or not self.open(to):
            return
        port = self.ports[number]
        if port._connectedAddr and RECONNECT in self.deviations:
            port._connectedAddr = None
        try:
            port.connect(*self.addresses[to])
        except RuntimeError:
            self.events.append([number, "error"])

    def step_stop(self, number):
        self.stop(number)

    def step_huge(self, number, to):
        if self.open(number) and to < len(self.ports):
            port = self.ports[number]
            self.write(number, b"x" * 65508, None if port._connectedAddr is not None else self.addresses[to])

    def step_unaddressed(self, number):
        if self.open(number) and self.ports[number]._connectedAddr is None:
            self.write(number, b"where to?", None)


def play_udp(config, steps, deviations):
    return World(config, deviations).play(steps)


TARGETS = {"udp": (play_udp, [STOPPED, TOLD, RECONNECT])}


def play(target, config, steps, deviations=None):
    """The events of a script, with Twisted's own class or with one that has `deviations`."""
    return TARGETS[target][0](config, steps, deviations)


def payload(random):
    """A datagram: what the protocol is to do, and any number of bytes."""
    action = random.choice("e" + 12 * "r" + "s" + 20 * "n" + random.choice("nnnnl"))
    if random.random() < 0.1:
        return ""
    return (action.encode("ascii") + bytes([random.randrange(256)]) * random.choice([0, 1, 3, 4, 30, 63, 64])).hex()


def udp_case(random, _):
    steps = [{"call": "listen", "args": []}, {"call": "listen", "args": []}]
    count = 2
    any_port = lambda: random.randrange(count)
    for _ in range(random.randrange(2, 12)):
        kind = random.randrange(40)
        if kind < 4 and count < 5:
            steps.append({"call": "listen", "args": []})
            count += 1
        elif kind < 32:
            data = [payload(random) for _ in range(random.choice([1, 1, 2, 3, 5]))]
            steps.append({"call": "send", "args": [any_port(), any_port(), data]})
        elif kind < 36:
            steps.append({"call": "connect", "args": [any_port(), any_port()]})
        elif kind < 38:
            steps.append({"call": "stop", "args": [any_port()]})
        elif kind == 38:
            steps.append({"call": "huge", "args": [any_port(), any_port()]})
        else:
            steps.append({"call": "unaddressed", "args": [any_port()]})
    return {"max": random.choice([4, 64, 8192])}, steps


CASES = {"udp": udp_case}
