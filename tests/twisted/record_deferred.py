"""Records what real Twisted's Deferred, Clock and LoopingCall do, for `cargo test --test twisted deferreds`.

Needs Twisted (made with 26.10.0): pip install Twisted==26.10.0

    python tests/twisted/record_deferred.py --seed 1 --cases 2000 --out DIR

The vectors have the format of `record.py`: {"target", "config", "steps", "expect"}, and where Torsade deviates on purpose,
with a visible effect, {"deviation": {"reasons", "expect"}} with what Twisted does after those changes.
"""

import argparse
import json
import os
import random

from twisted.internet import defer, task
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.logger import globalLogBeginner

LATE = "a firing after a cancel that called a canceller is ignored, where Twisted raises AlreadyCalledError"
ORDER = "delayed calls of the same time are made in the order in which they were scheduled, also after a reset"
FIRST = "the first call of a LoopingCall is made in the next turn, not inside start"
RECOUNT = "a LoopingCall with a count that is started again counts from there"

EIGHTH = 0.125


class Boom(Exception):
    """An error of the program's own."""


def kind(failure):
    return "cancelled" if failure.check(defer.CancelledError) else str(failure.value)


class Deferreds:
    """Programs on a handful of Deferreds. Inside a callback, only Deferreds with higher numbers are acted on."""

    reasons = [LATE]

    def __init__(self, config, reasons):
        self.events, self.deviating = [], LATE in reasons
        self.deferreds, self.given, self.canceller_called = [], set(), set()
        for canceller in config["cancellers"]:
            number = len(self.deferreds)
            function = None if canceller == "none" else lambda d, n=number, c=canceller: self.canceller(n, c, d)
            self.deferreds.append(defer.Deferred(function))

    def canceller(self, number, what, deferred):
        self.events.append(["canceller", number])
        self.canceller_called.add(number)
        if what == "fire":
            deferred.callback(1000 + number)
        elif what == "fail":
            deferred.errback(Boom("c%d" % number))

    def callback(self, name, action, value):
        lane, shown = ("errback", kind(value)) if isinstance(value, defer.Failure) else ("callback", value)
        self.events.append([lane, name, shown])
        what = action[0]
        if what == "raise":
            raise Boom(name)
        if what == "wait" and action[1] not in self.given:
            self.given.add(action[1])
            return self.deferreds[action[1]]
        if what not in ("pass", "wait"):
            self.call(what, action[1:])
        return value + 1 if isinstance(value, int) else -1

    def call(self, what, arguments):
        number = arguments[0]
        deferred = self.deferreds[number]
        if what == "add" and number not in self.given:
            _, lane, name, action = arguments
            function = lambda value: self.callback(name, action, value)
            {"callback": deferred.addCallback, "errback": deferred.addErrback, "both": deferred.addBoth}[lane](function)
        elif what in ("fire", "fail"):
            try:
                deferred.callback(arguments[1]) if what == "fire" else deferred.errback(Boom("f%d" % number))
            except defer.AlreadyCalledError:
                late = number in self.canceller_called
                self.canceller_called.discard(number)
                if not (late and self.deviating):
                    self.events.append(["already called", number])
        elif what in ("cancel", "pause", "unpause"):
            getattr(deferred, what)()

    def step(self, step):
        self.call(step["call"], step["args"])

    def end(self):
        for number, deferred in enumerate(self.deferreds):
            result = getattr(deferred, "result", None)
            if number in self.given:
                continue
            if not deferred.called or deferred.paused or isinstance(result, defer.Deferred):
                self.events.append(["no result", number])
            else:
                failed = isinstance(result, defer.Failure)
                self.events.append(["failed", number, kind(result)] if failed else ["result", number, result])
        for deferred in self.deferreds:
            deferred.addErrback(lambda failure: None)

    @staticmethod
    def script(generator):
        count = generator.randint(1, 6)
        cancellers = [generator.choice(["none", "none", "nothing", "fire", "fail"]) for _ in range(count)]
        waited, paused, names, steps = set(), [0] * count, iter(range(10000)), []

        def add(number, deep):
            lane = generator.choice(["callback", "callback", "errback", "both"])
            action, above = ["pass"], range(number + 1, count)
            what = generator.random()
            free = [other for other in above if other not in waited]
            if what < 0.2:
                action = ["raise"]
            elif what < 0.45 and free and not deep:
                other = generator.choice(free)
                waited.add(other)
                action = ["wait", other]
            elif what < 0.75 and above:
                other = generator.choice(above)
                deeper = generator.choice(["fire", "fail", "cancel", "add"])
                if deeper == "add" and not deep and other in free:
                    action = ["add"] + add(other, True)
                elif deeper != "add":
                    action = [deeper, other] + ([generator.randint(0, 99)] if deeper == "fire" else [])
            return [number, lane, "k%d" % next(names), action]

        for _ in range(generator.randint(3, 24)):
            number, what = generator.randrange(count), generator.random()
            if what < 0.5 and number not in waited:
                steps.append({"call": "add", "args": add(number, False)})
            elif what < 0.66:
                steps.append({"call": "fire", "args": [number, generator.randint(0, 99)]})
            elif what < 0.74:
                steps.append({"call": "fail", "args": [number]})
            elif what < 0.84:
                steps.append({"call": "cancel", "args": [number]})
            elif what < 0.92:
                paused[number] += 1
                steps.append({"call": "pause", "args": [number]})
            elif paused[number]:
                paused[number] -= 1
                steps.append({"call": "unpause", "args": [number]})
        return {"cancellers": cancellers}, steps


class OrderedClock(task.Clock):
    """Twisted's Clock with a sequence number as the tie-breaker."""

    def _sortCalls(self):
        for call in self.calls:
            if not hasattr(call, "sequence"):
                self.sequence = getattr(self, "sequence", 0) + 1
                call.sequence = self.sequence
        self.calls.sort(key=lambda call: (call.getTime(), call.sequence))


def looping(clock, function, counting, reasons):
    class Looping(task.LoopingCall):
        def start(self, interval, now=True):
            assert not self.running
            if RECOUNT in reasons:
                self._realLastTime = None
            if not now or FIRST not in reasons:
                return super().start(interval, now)
            deferred = super().start(interval, False)
            self.call.cancel()
            self._runAtStart = True
            self.call = self.clock.callLater(0, self)
            return deferred

    loop = Looping.withCount(function) if counting else Looping(lambda: function(1))
    loop.clock = clock
    return loop


class Times:
    """Programs on delayed calls and looping calls. Times are in eighths of a second, which are exact in floating point."""

    reasons = [ORDER, FIRST, RECOUNT]

    def __init__(self, config, reasons):
        self.events, self.calls, self.waiting = [], {}, {}
        self.clock = OrderedClock() if ORDER in reasons else task.Clock()
        self.loops = [
            looping(self.clock, lambda count, n=number: self.looped(n, count), counting, reasons)
            for number, counting in enumerate(config["counting"])
        ]
        self.script_of = config["actions"]
        self.runs = [0] * len(self.loops)

    def now(self):
        return int(self.clock.seconds() / EIGHTH)

    def looped(self, number, count):
        self.events.append(["looped", number, self.now(), count])
        actions = self.script_of[number]
        action = actions[self.runs[number] % len(actions)]
        self.runs[number] += 1
        if action == "raise":
            raise Boom("loop %d" % number)
        if action == "wait":
            self.waiting[number] = defer.Deferred()
            return self.waiting[number]

    def made(self, number, actions):
        self.events.append(["called", number, self.now()])
        for action in actions:
            self.call(action[0], action[1:])

    def call(self, what, arguments):
        number = arguments[0]
        if what == "later":
            _, delay, actions = arguments
            self.calls[number] = self.clock.callLater(delay * EIGHTH, self.made, number, actions)
        elif what in ("cancel", "reset", "delay"):
            if number in self.calls:
                try:
                    getattr(self.calls[number], what)(*[argument * EIGHTH for argument in arguments[1:]])
                except AlreadyCalled:
                    self.events.append(["already called", number])
                except AlreadyCancelled:
                    self.events.append(["already cancelled", number])
        elif what == "answer":
            waiting = self.waiting.pop(number, None)
            if waiting is not None:
                waiting.callback(None)
        else:
            self.call_loop(what, number, arguments[1:])

    def call_loop(self, what, number, arguments):
        loop = self.loops[number]
        # A call that still waits prevents a stopped loop from starting again.
        if loop.running != (what != "loop start") or number in self.waiting and what != "loop reset":
            return
        if what == "loop start":
            ended = loop.start(arguments[0] * EIGHTH, arguments[1])
            ended.addCallbacks(
                lambda _: self.events.append(["ended", number]),
                lambda failure: self.events.append(["broken", number, kind(failure)]),
            )
        elif what == "loop stop":
            loop.stop()
        else:
            loop.reset()

    def step(self, step):
        if "advance" in step:
            self.clock.advance(step["advance"])
        else:
            self.call(step["call"], step["args"])

    def end(self):
        self.events.append(["left", len(self.clock.getDelayedCalls())])

    @staticmethod
    def script(generator):
        loops = generator.randint(0, 2)
        config = {
            "counting": [generator.random() < 0.5 for _ in range(loops)],
            "actions": [[generator.choice(["pass"] * 6 + ["wait", "wait", "raise"]) for _ in range(4)] for _ in range(loops)],
        }
        numbers, steps = iter(range(10000)), []
        known = []

        def change(deep):
            what = generator.random()
            if what < 0.45 or not known:
                actions = [] if deep else [change(True) for _ in range(generator.choice([0, 0, 1, 2]))]
                number = next(numbers)
                known.append(number)
                return ["later", number, generator.choice([0, 1, 2, 3, 4, 8, 8, 13]), actions]
            number = generator.choice(known)
            if what < 0.6:
                return ["cancel", number]
            return [generator.choice(["reset", "delay"]), number, generator.choice([0, 1, 2, 4, 8])]

        for _ in range(generator.randint(4, 30)):
            what = generator.random()
            if what < 0.4:
                call = change(False)
            elif what < 0.75 or not loops:
                steps.append({"advance": generator.choice([0, 1, 1, 2, 3, 5, 8, 16]) * EIGHTH})
                continue
            else:
                loop = generator.randrange(loops)
                call = generator.choice(
                    [["loop start", loop, generator.choice([1, 2, 3, 8]), generator.random() < 0.6]] * 2
                    + [["loop stop", loop], ["loop reset", loop], ["answer", loop], ["answer", loop]]
                )
            steps.append({"call": call[0], "args": call[1:]})
        steps.append({"advance": 0})
        return config, steps


TARGETS = {"Deferred": Deferreds, "Clock": Times}


def play(target, config, steps, reasons):
    program = TARGETS[target](config, reasons)
    for step in steps:
        program.step(step)
    program.end()
    return program.events


def record(target, generator):
    config, steps = TARGETS[target].script(generator)
    known = TARGETS[target].reasons
    expect = play(target, config, steps, [])
    vector = {"target": target, "config": config, "steps": steps, "expect": expect}
    deviating = play(target, config, steps, known)
    if deviating != expect:
        without = lambda reason: [other for other in known if other != reason]
        needed = [reason for reason in known if play(target, config, steps, without(reason)) != deviating]
        vector["deviation"] = {"reasons": needed or known, "expect": deviating}
    return vector


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="the same seed and number of cases give the same files")
    parser.add_argument("--cases", type=int, default=2000, help="how many vectors, over all targets")
    parser.add_argument("--out", required=True, help="the directory to write to; made if it is not there")
    options = parser.parse_args()
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    generator = random.Random(options.seed)
    os.makedirs(options.out, exist_ok=True)
    names, marked = list(TARGETS), 0
    with open(os.path.join(options.out, "deferred.jsonl"), "w") as file:
        for number in range(options.cases):
            vector = record(names[number % len(names)], generator)
            marked += "deviation" in vector
            file.write(json.dumps(vector, separators=(",", ":")) + "\n")
    print("%d vectors, %d of them marked as deviations" % (options.cases, marked))


if __name__ == "__main__":
    main()
