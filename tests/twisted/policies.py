"""Policies, `FileSender` and the wire services: scripts for them, and what Twisted does with the scripts."""

import io
import struct
import time

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols import basic, wire
from twisted.protocols import policies as twisteds

from harness import Connection, Recorder, shown

NEW_WHILE_THROTTLED = "a connection made while reading is throttled waits as well, and only what was paused is resumed"
LATEST = "after a second excess throttling ends once, at the later time"
GOES_ON = "throttling goes on while there is no connection, so that nobody evades it by connecting again"
NO_PRODUCER = "write throttling leaves connections without a producer alone, where Twisted's timer fails"
RFC_868 = "the time counts from 1900 as RFC 868 says, not from 1970"
DAYTIME = "daytime works, which raises TypeError in Twisted on Python 3"

PEER = IPv4Address("TCP", "192.168.1.1", 54321)


class Sink(Protocol):
    """Records what it receives."""

    def __init__(self, events, number, producer=False, echo=False):
        self.events, self.number, self.producer, self.echo = events, number, producer, echo

    def note(self, *event):
        self.events.append([self.number, *event])

    def connectionMade(self):
        self.note("made")
        if self.producer:
            self.transport.registerProducer(self, True)

    def dataReceived(self, data):
        self.note("data", shown(data))
        if self.echo:
            self.transport.write(data)

    def connectionLost(self, reason):
        self.note("gone")

    def pauseProducing(self):
        self.note("producer_pause")

    def resumeProducing(self):
        self.note("producer_resume")

    def stopProducing(self):
        self.note("producer_stop")


class World:
    """Several connections on one clock, with protocols from one factory."""

    def __init__(self, events):
        self.events = events
        self.clock = Clock()
        self.connections = []

    def make_sink(self, **options):
        world = self

        class Sinks(Factory):
            def buildProtocol(self, addr):
                return Sink(world.events, len(world.connections), **options)

        return Sinks()

    def play(self, factory, steps):
        for step in steps:
            if "advance" in step:
                try:
                    self.clock.advance(step["advance"])
                except Exception:
                    self.events.append(["error_in_timer"])
            else:
                getattr(self, step["call"])(factory, *step["args"])
            for connection in self.connections:
                if connection is not None:
                    connection.settle()
        return self.events

    def connect(self, factory):
        protocol = factory.buildProtocol(PEER)
        if protocol is None:
            self.connections.append(None)
            self.events.append([len(self.connections) - 1, "refused"])
            return
        connection = Connection(protocol, self.events, [len(self.connections)])
        self.connections.append(connection)
        connection.make()

    def open(self, number):
        """The connection of that number, if it is open."""
        connection = self.connections[number] if number < len(self.connections) else None
        return connection if connection and not connection.reason else None

    def deliver(self, _, number, data):
        if self.open(number):
            self.connections[number].deliver(bytes.fromhex(data))

    def write(self, _, number, data):
        if self.open(number):
            self.connections[number].protocol.write(bytes.fromhex(data))

    def lose(self, _, number):
        if self.open(number):
            self.connections[number].protocol.loseConnection()


class DeviatingThrottlingProtocol(twisteds.ThrottlingProtocol):
    held = False

    def throttleWrites(self):
        if NO_PRODUCER in self.factory.deviations and self.producer is None:
            return
        if NEW_WHILE_THROTTLED in self.factory.deviations and self.held:
            return
        self.held = True
        super().throttleWrites()

    def unthrottleWrites(self):
        if NO_PRODUCER in self.factory.deviations and self.producer is None:
            return
        if NEW_WHILE_THROTTLED in self.factory.deviations and not self.held:
            return
        self.held = False
        super().unthrottleWrites()


class DeviatingThrottling(twisteds.ThrottlingFactory):
    protocol = DeviatingThrottlingProtocol
    deviations = frozenset()

    def registerProtocol(self, p):
        super().registerProtocol(p)
        if NEW_WHILE_THROTTLED in self.deviations and self.unthrottleReadsID is not None:
            p.throttleReads()

    def check(self, check, release, timer):
        """Checks one direction, and keeps the later of two ends of throttling."""
        earlier = getattr(self, release)
        check()
        later = getattr(self, release)
        # A call that Twisted has cancelled, with the last connection, is still in the list.
        if LATEST in self.deviations and earlier is not None and earlier.active() and later is not earlier:
            if earlier.getTime() > later.getTime():
                earlier, later = later, earlier
            earlier.cancel()
            setattr(self, release, later)
        if GOES_ON in self.deviations and not self.protocols and self.connectionCount == 0 and getattr(self, release) is None:
            getattr(self, timer).cancel()
            setattr(self, timer, None)

    def checkReadBandwidth(self):
        self.check(super().checkReadBandwidth, "unthrottleReadsID", "checkReadBandwidthID")

    def checkWriteBandwidth(self):
        self.check(super().checkWriteBandwidth, "unthrottleWritesID", "checkWriteBandwidthID")

    def buildProtocol(self, addr):
        if GOES_ON not in self.deviations:
            return super().buildProtocol(addr)
        if self.connectionCount >= self.maxConnectionCount:
            return None
        self.connectionCount += 1
        if self.readLimit is not None and self.checkReadBandwidthID is None:
            self.checkReadBandwidth()
        if self.writeLimit is not None and self.checkWriteBandwidthID is None:
            self.checkWriteBandwidth()
        return twisteds.WrappingFactory.buildProtocol(self, addr)

    def unregisterProtocol(self, p):
        if GOES_ON not in self.deviations:
            return super().unregisterProtocol(p)
        twisteds.WrappingFactory.unregisterProtocol(self, p)
        self.connectionCount -= 1


def play_throttle(config, steps, deviations):
    world = World([])
    kind = twisteds.ThrottlingFactory if deviations is None else DeviatingThrottling
    factory = kind(
        world.make_sink(producer=config["producer"]), config["max"], config["read_limit"], config["write_limit"]
    )
    factory.deviations = frozenset(deviations or ())
    factory.callLater = world.clock.callLater
    return world.play(factory, steps)


def play_timeout(config, steps, _):
    world = World([])
    factory = twisteds.TimeoutFactory(world.make_sink(echo=config["echo"]), config["period"])
    factory.callLater = world.clock.callLater
    return world.play(factory, steps)


def play_limit_total(config, steps, _):
    world = World([])

    class Busy(Sink):
        def connectionMade(self):
            self.note("overflow")
            self.transport.write(b"busy")
            self.transport.loseConnection()

    class Limited(twisteds.LimitTotalConnectionsFactory):
        connectionLimit = config["limit"]

        def protocol(self):
            return Sink(world.events, len(world.connections))

        overflowProtocol = None

    if config["overflow"]:
        Limited.overflowProtocol = lambda self: Busy(world.events, len(world.connections))
    return world.play(Limited(), steps)


def play_traffic_log(config, steps, _):
    world = World([])
    logs = []

    class Logging(twisteds.TrafficLoggingFactory):
        def open(self, name):
            logs.append(io.StringIO())
            return logs[-1]

    world.play(Logging(world.make_sink(echo=True), "log"), steps)
    for number, log in enumerate(logs):
        for line in log.getvalue().splitlines():
            # Each side has its own text for a reason.
            world.events.append(["log", number, line.split("<twisted")[0] + "<lost>" if "<twisted" in line else line])
    return world.events


class Idle(Protocol, twisteds.TimeoutMixin):
    """Sets, resets and clears its timeout as the script says."""

    def __init__(self, events, keep_open, clock):
        self.events, self.keep_open = events, keep_open
        self.callLater = clock.callLater

    def dataReceived(self, data):
        self.resetTimeout()

    def timeoutConnection(self):
        self.events.append(["timeout"])
        if not self.keep_open:
            super().timeoutConnection()

    def connectionLost(self, reason):
        self.setTimeout(None)


def play_timeout_mixin(config, steps, _):
    events, clock = [], Clock()
    protocol = Idle(events, config["keep_open"], clock)
    connection = Connection(protocol, events)
    connection.make()
    for step in steps:
        if connection.reason:
            break
        if "advance" in step:
            clock.advance(step["advance"])
        elif "deliver" in step:
            connection.deliver(bytes.fromhex(step["deliver"]))
        elif step["call"] == "set_timeout":
            events.append(["previous", protocol.setTimeout(step["args"][0])])
        connection.settle()
    return events


def content(size, seed):
    """The file that is sent."""
    return bytes((i * 7 + i // 251 + seed) & 255 for i in range(size))


def play_file_sender(config, steps, _):
    events = []
    transport = Recorder(events)
    sender = basic.FileSender()
    transform = {"upper": bytes.upper, "double": lambda chunk: chunk * 2, None: None}[config["transform"]]
    done = sender.beginFileTransfer(io.BytesIO(content(config["size"], config["seed"])), transport, transform)
    done.addCallbacks(
        lambda last: events.append(["sent", last.hex() if last else ""]), lambda failure: events.append(["failed"])
    )
    for step in steps:
        producer = transport.producer
        if producer is None:
            break
        if step["call"] == "produce":
            producer.resumeProducing()
            # Each piece is an event of its own.
            events.append(["turn"])
        else:
            transport.producer = None
            producer.stopProducing()
    return events


SERVICES = {"echo": wire.Echo, "discard": wire.Discard, "chargen": wire.Chargen, "qotd": wire.QOTD, "who": wire.Who}


class DeviatingTime(Protocol):
    def connectionMade(self):
        self.transport.write(struct.pack("!I", (int(time.time()) + 2208988800) & 0xFFFFFFFF))
        self.transport.loseConnection()


class DeviatingDaytime(Protocol):
    def connectionMade(self):
        self.transport.write(time.asctime(time.gmtime(time.time())).encode("ascii") + b"\r\n")
        self.transport.loseConnection()


def play_wire(config, steps, deviations):
    services = dict(SERVICES, time=wire.Time, daytime=wire.Daytime)
    if RFC_868 in (deviations or ()):
        services["time"] = DeviatingTime
    if DAYTIME in (deviations or ()):
        services["daytime"] = DeviatingDaytime
    real, time.time = time.time, lambda: config["now"]
    try:
        events = []
        connection = Connection(services[config["service"]](), events)
        connection.make()
        for step in steps:
            if connection.reason:
                break
            if "deliver" in step:
                connection.deliver(bytes.fromhex(step["deliver"]))
            elif connection.transport.producer is not None:
                connection.guard(connection.transport.producer.resumeProducing)
        return events
    finally:
        time.time = real


TARGETS = {
    "throttle": (play_throttle, [NEW_WHILE_THROTTLED, LATEST, GOES_ON, NO_PRODUCER]),
    "timeout": (play_timeout, []),
    "timeout_mixin": (play_timeout_mixin, []),
    "limit_total": (play_limit_total, []),
    "traffic_log": (play_traffic_log, []),
    "file_sender": (play_file_sender, []),
    "wire": (play_wire, [RFC_868, DAYTIME]),
}


def play(target, config, steps, deviations=None):
    """The events of a script, with Twisted's own classes or with those that have `deviations`."""
    return TARGETS[target][0](config, steps, deviations)


def bytes_hex(random, most):
    return bytes(random.randrange(256) for _ in range(random.randrange(1, most))).hex()


def world_steps(random, connects, most=12, advance=True):
    """Connections that are made, used and lost."""
    steps = [{"call": "connect", "args": []}]
    count = 1
    for _ in range(random.randrange(2, 16)):
        kind = random.randrange(10)
        if kind == 0 and count < connects:
            steps.append({"call": "connect", "args": []})
            count += 1
        elif kind < 4:
            steps.append({"call": "deliver", "args": [random.randrange(count), bytes_hex(random, most)]})
        elif kind < 6:
            steps.append({"call": "write", "args": [random.randrange(count), bytes_hex(random, most)]})
        elif kind == 6:
            steps.append({"call": "lose", "args": [random.randrange(count)]})
        elif advance:
            # Quarters of a second are exact in floating point.
            steps.append({"advance": random.randrange(1, 9) / 4})
    return steps


def throttle_case(random, _):
    limit = lambda: random.choice([None, 4, 8, 16])
    config = {"max": random.choice([1, 2, 100]), "read_limit": limit(), "producer": random.random() < 0.5}
    config["write_limit"] = limit() if config["producer"] or random.random() < 0.1 else None
    return config, world_steps(random, 4, 24)


def timeout_case(random, _):
    return {"period": random.choice([0.5, 1, 2, 3]), "echo": random.random() < 0.5}, world_steps(random, 3)


def limit_total_case(random, _):
    steps = []
    for _ in range(random.randrange(1, 14)):
        steps.append(random.choice([{"call": "connect", "args": []}, {"call": "lose", "args": [random.randrange(6)]}]))
    return {"limit": random.choice([None, 1, 2, 3]), "overflow": random.random() < 0.5}, steps


def traffic_log_case(random, _):
    return {}, world_steps(random, 3, advance=False)


def timeout_mixin_case(random, _):
    steps = []
    for _ in range(random.randrange(1, 14)):
        kind = random.randrange(4)
        if kind == 0:
            steps.append({"call": "set_timeout", "args": [random.choice([None, 0.5, 1, 2])]})
        elif kind == 1:
            steps.append({"deliver": "61"})
        else:
            steps.append({"advance": random.randrange(1, 7) / 4})
    return {"keep_open": random.random() < 0.5}, steps


def file_sender_case(random, _):
    size = random.choice([0, 1, 2, 100, 16383, 16384, 16385, 32767, 32768, 32769, 40000])
    config = {"size": size, "seed": random.randrange(256), "transform": random.choice([None, None, "upper", "double"])}
    steps = [{"call": "stop" if random.random() < 0.1 else "produce", "args": []} for _ in range(random.randrange(1, 6))]
    return config, steps


def wire_case(random, _):
    service = random.choice(["echo", "discard", "chargen", "qotd", "who", "time", "daytime"])
    config = {"service": service, "now": random.choice([0, 1, 951782400, 1700000000, 2085978495, random.randrange(2**31)])}
    steps = [
        {"deliver": bytes_hex(random, 20)} if random.random() < 0.6 else {"call": "produce", "args": []}
        for _ in range(random.randrange(5))
    ]
    return config, steps


CASES = {
    "throttle": throttle_case,
    "timeout": timeout_case,
    "timeout_mixin": timeout_mixin_case,
    "limit_total": limit_total_case,
    "traffic_log": traffic_log_case,
    "file_sender": file_sender_case,
    "wire": wire_case,
}
