"""A receiver of metrics in the manner of carbon: lines, datagrams and batches come in, are rewritten, aggregated, and
relayed to those who store them, each name to one of them by consistent hashing.

Run:    python3 original.py --lines 127.0.0.1:2003 --batches 127.0.0.1:2004 --status 127.0.0.1:2005 \
            --destination a=127.0.0.1:2103 --destination b=127.0.0.1:2203 --rules rules

A line is `NAME VALUE TIMESTAMP`; a datagram, to the port of the lines, has lines in it. A batch has its length in four
bytes before it; in it are records: the length of the name in one byte, the name, the value as a double, the timestamp
in four bytes, big-endian. The status port answers `stats`, `destinations`, `rules` and `quit`.
"""

import bisect
import hashlib
import math
import re
import struct
import sys
from collections import deque

from twisted.application import internet, service
from twisted.internet import defer, endpoints, protocol, reactor
from twisted.protocols.basic import Int32StringReceiver, LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python import log, usage

# Values of so many seconds are aggregated into one.
STEP = 10
# So many steps of one aggregate are kept, and so many aggregates.
MAX_STEPS = 5
MAX_AGGREGATES = 10000
# So many datapoints are sent to a destination in one turn of the reactor.
MAX_DATAPOINTS_PER_MESSAGE = 500


# The names of metrics, and rules for them.


class RuleError(Exception):
    pass


def placeholder(word):
    return word[1:-1] if word.startswith(b"<") and word.endswith(b">") else None


class Rule:
    """What matches a pattern gets a new name: `*` is any word, and `<host>` too, which the template may use."""

    def __init__(self, text, pattern, template):
        self.text = text
        self.template = template.split(b".")
        words, names = [], set()
        for word in pattern.split(b"."):
            name = placeholder(word)
            if name is not None:
                if not re.fullmatch(rb"[a-z]+", name) or name in names:
                    raise RuleError("not a new name of small letters: %r" % word)
                names.add(name)
                words.append(b"(?P<%b>[^.]+)" % name)
            else:
                words.append(b"[^.]+" if word == b"*" else re.escape(word))
        for word in self.template:
            if placeholder(word) is not None and placeholder(word) not in names:
                raise RuleError("not in the pattern: %r" % word)
        self.regex = re.compile(rb"\.".join(words))

    def apply(self, name):
        match = self.regex.fullmatch(name)
        if match is None:
            return None
        groups = {name.encode("ascii"): word for name, word in match.groupdict().items()}
        return b".".join(groups.get(placeholder(word), word) for word in self.template)


METHODS = {
    b"sum": lambda step: step.total,
    b"average": lambda step: step.total / step.count,
    b"min": lambda step: step.least,
    b"max": lambda step: step.greatest,
    b"last": lambda step: step.last,
    b"count": lambda step: float(step.count),
}


class Rules:
    """`rewrite PATTERN = TEMPLATE` and `sum PATTERN = TEMPLATE`, with any of the methods, one a line."""

    def __init__(self, text):
        self.rewrites, self.aggregations = [], []
        for line in text.splitlines():
            words = line.split()
            if not words or words[0].startswith(b"#"):
                continue
            if len(words) != 4 or words[2] != b"=" or (words[0] != b"rewrite" and words[0] not in METHODS):
                raise RuleError("not METHOD PATTERN = TEMPLATE: %r" % line)
            rule = Rule(b" ".join(words), words[1], words[3])
            if words[0] == b"rewrite":
                self.rewrites.append(rule)
            else:
                self.aggregations.append((words[0], rule))

    def all(self):
        return self.rewrites + [rule for _, rule in self.aggregations]


class ConsistentHashRing:
    def __init__(self, names, replicas=100):
        self.ring = sorted((self.position(b"%b:%d" % (name, i)), name) for name in names for i in range(replicas))

    @staticmethod
    def position(key):
        return struct.unpack(">I", hashlib.sha1(key).digest()[:4])[0]

    def get(self, key):
        index = bisect.bisect_left(self.ring, (self.position(key), b"")) % len(self.ring)
        return self.ring[index][1]


# What is done with a datapoint.


def is_name(name):
    return 0 < len(name) <= 255 and name.split() == [name]


def checked(name, value, timestamp):
    if not is_name(name) or not math.isfinite(value) or not 0 <= timestamp <= 0xFFFFFFFF:
        raise ValueError("not a datapoint")
    return name, value, timestamp


def parse_line(line):
    name, value, timestamp = line.split()
    timestamp = float(timestamp)
    if not math.isfinite(timestamp):
        raise ValueError("not a timestamp")
    return checked(name, float(value), int(timestamp))


def parse_batch(data):
    datapoints, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        value, timestamp = struct.unpack(">dI", data[end : end + 12])
        datapoints.append(checked(data[at + 1 : end], value, timestamp))
        at = end + 12
    return datapoints


def format_line(name, value, timestamp):
    value = ("%.6f" % value).rstrip("0").rstrip(".")
    return b"%b %b %d\n" % (name, value.encode("ascii"), timestamp)


class Step:
    """The values of one step, of which no more is kept than the methods need."""

    def __init__(self, value):
        self.count, self.total = 1, value
        self.least = self.greatest = self.last = value
        self.due = True

    def put(self, value):
        self.count += 1
        self.total += value
        self.last = value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        self.due = True


class Aggregate:
    """The steps of one aggregate; those that have changed are due."""

    def __init__(self, method):
        self.compute = METHODS[method]
        self.steps = {}

    def put(self, value, timestamp):
        start = timestamp - timestamp % STEP
        if start in self.steps:
            self.steps[start].put(value)
            return True
        if len(self.steps) >= MAX_STEPS:
            oldest = min(self.steps)
            if start < oldest:
                return False
            del self.steps[oldest]
        self.steps[start] = Step(value)
        return True

    def computed(self):
        due = [(start, step) for start, step in sorted(self.steps.items()) if step.due]
        for _, step in due:
            step.due = False
        return [(start, self.compute(step)) for start, step in due]


class Pipeline:
    """What all protocols give their datapoints to."""

    def __init__(self, rules, destinations):
        self.rules = rules
        self.destinations = {destination.name: destination for destination in destinations}
        self.ring = ConsistentHashRing(self.destinations) if destinations else None
        self.aggregates = {}
        self.stats = {"received": 0, "rejected": 0, "rewritten": 0, "aggregated": 0, "late": 0}

    def increment(self, counter):
        self.stats[counter] += 1

    def reject(self, peer):
        self.increment("rejected")
        log.msg("invalid data from %s, ignored" % (peer,))

    def received(self, name, value, timestamp):
        self.increment("received")
        for rule in self.rules.rewrites:
            renamed = rule.apply(name)
            if renamed is not None and is_name(renamed):
                self.increment("rewritten")
                name = renamed
        for method, rule in self.rules.aggregations:
            target = rule.apply(name)
            if target is not None and is_name(target):
                self.aggregate(method, target, value, timestamp)
        self.relay(name, value, timestamp)

    def aggregate(self, method, target, value, timestamp):
        aggregate = self.aggregates.get(target)
        if aggregate is None and len(self.aggregates) < MAX_AGGREGATES:
            aggregate = self.aggregates[target] = Aggregate(method)
        taken = aggregate is not None and aggregate.put(value, timestamp)
        self.increment("aggregated" if taken else "late")

    def relay(self, name, value, timestamp):
        if self.ring is not None:
            self.destinations[self.ring.get(name)].send(format_line(name, value, timestamp))

    def flush(self):
        for target, aggregate in sorted(self.aggregates.items()):
            for step, value in aggregate.computed():
                # Carbon drops what is not a number; so do we what has grown beyond all of them.
                if math.isfinite(value):
                    self.relay(target, value, step)


# What comes in.


class MetricReceiver(TimeoutMixin):
    """What the protocols on TCP have in common."""

    def connectionMade(self):
        self.setTimeout(self.factory.idle)
        log.msg("%s connection with %s established" % (self.factory.kind, self.transport.getPeer()))

    def connectionLost(self, reason):
        self.setTimeout(None)
        log.msg("%s connection with %s lost" % (self.factory.kind, self.transport.getPeer()))


class MetricLineReceiver(MetricReceiver, LineOnlyReceiver):
    delimiter = b"\n"

    def lineReceived(self, line):
        self.resetTimeout()
        try:
            datapoint = parse_line(line)
        except ValueError:
            self.factory.pipeline.reject(self.transport.getPeer())
        else:
            self.factory.pipeline.received(*datapoint)


class MetricBatchReceiver(MetricReceiver, Int32StringReceiver):
    MAX_LENGTH = 2**16

    def stringReceived(self, data):
        if self.transport.disconnecting:
            # Strings that came together with one that was refused.
            return
        self.resetTimeout()
        try:
            datapoints = parse_batch(data)
        except (ValueError, struct.error):
            self.factory.pipeline.reject(self.transport.getPeer())
            self.transport.loseConnection()
        else:
            for datapoint in datapoints:
                self.factory.pipeline.received(*datapoint)


class MetricDatagramReceiver(protocol.DatagramProtocol):
    def __init__(self, pipeline):
        self.pipeline = pipeline

    def datagramReceived(self, data, addr):
        for line in data.splitlines():
            try:
                datapoint = parse_line(line)
            except ValueError:
                self.pipeline.reject(addr)
            else:
                self.pipeline.received(*datapoint)


class StatusReceiver(LineOnlyReceiver):
    def lineReceived(self, line):
        command = getattr(self, "status_" + line.decode("latin-1"), None)
        if command is None:
            self.sendLine(b"error: say stats, destinations, rules or quit")
        else:
            command()

    def status_stats(self):
        for counter, value in self.factory.pipeline.stats.items():
            self.sendLine(b"%b %d" % (counter.encode("ascii"), value))
        self.sendLine(b".")

    def status_destinations(self):
        for destination in self.factory.pipeline.destinations.values():
            state = b"connected" if destination.client is not None else b"away"
            counts = (destination.name, state, len(destination.queue), destination.sent, destination.dropped)
            self.sendLine(b"%b %b, queued %d, sent %d, dropped %d" % counts)
        self.sendLine(b".")

    def status_rules(self):
        for rule in self.factory.pipeline.rules.all():
            self.sendLine(rule.text)
        self.sendLine(b".")

    def status_quit(self):
        self.transport.loseConnection()


class PipelineFactory(protocol.ServerFactory):
    def __init__(self, kind, protocol, pipeline, idle=None):
        self.kind, self.protocol, self.pipeline, self.idle = kind, protocol, pipeline, idle


# What goes out.


class MetricSender(protocol.Protocol):
    """A push producer for its own transport, which pauses it when the destination reads too slowly."""

    paused = False
    delayed = None

    def connectionMade(self):
        self.factory.resetDelay()
        self.factory.client = self
        self.transport.registerProducer(self, True)
        self.sendQueued()

    def connectionLost(self, reason):
        self.paused = True
        if self.delayed is not None:
            self.delayed.cancel()
            self.delayed = None
        self.factory.client = None

    def pauseProducing(self):
        self.paused = True

    def resumeProducing(self):
        self.paused = False
        self.sendSoon()

    def stopProducing(self):
        self.paused = True

    def sendSoon(self):
        if not self.paused and self.delayed is None:
            self.delayed = reactor.callLater(0, self.sendQueued)

    def sendQueued(self):
        self.delayed = None
        queue = self.factory.queue
        message = [queue.popleft() for _ in range(min(len(queue), MAX_DATAPOINTS_PER_MESSAGE))]
        if message:
            self.factory.sent += len(message)
            self.transport.write(b"".join(message))
        if queue:
            self.sendSoon()

    def disconnect(self):
        """Sends what is queued, however slowly it is read, and closes."""
        self.paused = True
        self.factory.sent += len(self.factory.queue)
        self.transport.write(b"".join(self.factory.queue))
        self.factory.queue.clear()
        # A transport with a producer waits for it before it closes.
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class Destination(protocol.ReconnectingClientFactory):
    """Keeps a connection, and what is to be sent there, up to a bound; then what comes is dropped."""

    protocol = MetricSender
    initialDelay = 0.01
    factor = 1.6
    maxDelay = 2
    jitter = 0
    noisy = False

    def __init__(self, name, limit):
        self.name, self.limit = name, limit
        self.queue = deque()
        self.sent = self.dropped = 0
        self.client = self.disconnected = None

    def send(self, line):
        if len(self.queue) >= self.limit:
            self.dropped += 1
            return
        self.queue.append(line)
        if self.client is not None:
            self.client.sendSoon()

    def clientConnectionLost(self, connector, reason):
        protocol.ReconnectingClientFactory.clientConnectionLost(self, connector, reason)
        if self.disconnected is not None:
            disconnected, self.disconnected = self.disconnected, None
            disconnected.callback(None)


class DestinationService(service.Service):
    def __init__(self, address, destination):
        self.address, self.destination = address, destination

    def startService(self):
        service.Service.startService(self)
        host, port = split_address(self.address)
        self.connector = reactor.connectTCP(host, port, self.destination)

    def stopService(self):
        service.Service.stopService(self)
        self.destination.stopTrying()
        if self.destination.client is None:
            self.connector.disconnect()
            return None
        self.destination.disconnected = defer.Deferred()
        self.destination.client.disconnect()
        return self.destination.disconnected


# The program.


def split_address(address):
    host, port = address.split(":")
    return host, int(port)


class Options(usage.Options):
    optParameters = [
        ["lines", None, "127.0.0.1:2003", "Where lines come in, and datagrams."],
        ["batches", None, "127.0.0.1:2004", "Where batches come in."],
        ["status", None, "127.0.0.1:2005", "Where the state is told."],
        ["rules", None, None, "A file of rules."],
        ["interval", None, 10.0, "Seconds between aggregations.", float],
        ["queue", None, 10000, "The most datapoints that wait for a destination.", int],
        ["idle", None, None, "Seconds until a silent connection is closed.", float],
    ]

    def __init__(self):
        usage.Options.__init__(self)
        self["destinations"] = []

    def opt_destination(self, text):
        """NAME=HOST:PORT, of whoever is given datapoints; may be given several times."""
        name, _, address = text.partition("=")
        self["destinations"].append((name.encode("ascii"), address))


def make_service(options):
    rules = b""
    if options["rules"]:
        with open(options["rules"], "rb") as file:
            rules = file.read()
    root = service.MultiService()
    destinations = []
    for name, address in options["destinations"]:
        destination = Destination(name, options["queue"])
        destinations.append(destination)
        DestinationService(address, destination).setServiceParent(root)
    pipeline = Pipeline(Rules(rules), destinations)
    for address, factory in [
        (options["lines"], PipelineFactory("line", MetricLineReceiver, pipeline, options["idle"])),
        (options["batches"], PipelineFactory("batch", MetricBatchReceiver, pipeline, options["idle"])),
        (options["status"], PipelineFactory("status", StatusReceiver, pipeline)),
    ]:
        host, port = split_address(address)
        endpoint = endpoints.TCP4ServerEndpoint(reactor, port, interface=host)
        internet.StreamServerEndpointService(endpoint, factory).setServiceParent(root)
    host, port = split_address(options["lines"])
    internet.UDPServer(port, MetricDatagramReceiver(pipeline), interface=host).setServiceParent(root)
    internet.TimerService(options["interval"], pipeline.flush).setServiceParent(root)
    return root


if __name__ == "__main__":
    options = Options()
    try:
        options.parseOptions()
        root = make_service(options)
    except (usage.UsageError, RuleError) as error:
        sys.exit(str(error))
    root.startService()
    reactor.addSystemEventTrigger("before", "shutdown", root.stopService)
    reactor.run()
