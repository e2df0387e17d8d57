"""Records the callbacks of a ProcessProtocol of real Twisted with real processes, for `cargo test --test twisted processes`.

Needs Twisted (made with 26.10.0): pip install Twisted==26.10.0

    python tests/twisted/record_process.py --seed 1 --cases 400 --out DIR

The vectors have the format of `record.py`: {"target", "config", "steps", "expect"}, and where Torsade deviates on purpose,
with a visible effect, {"deviation": {"reasons", "expect"}} with what Twisted does after those changes.

Each step is done by the child (`child.sh`), by its daemon, or by us, and all callbacks that follow are one list. Within a step
the system decides the order (of an exit and of the pipes that it closes, for instance), so the list is sorted, except for the
last callback of all. Both sides check that a descriptor's data come before its loss.
"""

import argparse
import gzip
import json
import os
import random
import time

import twisted
from twisted.internet import error, reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import globalLogBeginner

MADE = "an error of connection_made closes the first three descriptors, where Twisted only logs it"
REASONS = [MADE]

CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.sh")
# Turns of the reactor after which everything under way at their beginning has arrived.
TURNS = 8


class Boom(Exception):
    """An error of the program's own."""


class Child(ProcessProtocol):
    def __init__(self, config, reasons):
        self.config, self.reasons = config, reasons
        self.events, self.acknowledged, self.exited, self.ended = [], 0, False, False

    def note(self, event):
        self.events.append(event)
        act = self.config["actions"].get(event[0])
        if act == "lose":
            self.transport.loseConnection()
        elif act == "close_stdin":
            self.transport.closeStdin()
        elif act == "signal":
            try:
                self.transport.signalProcess("KILL")
            except error.ProcessExitedAlready:
                self.events.append(["exited_already"])
        elif act == "raise":
            if event[0] == "made" and MADE in self.reasons:
                self.transport.loseConnection()
            raise Boom

    def connectionMade(self):
        self.note(["made"])

    def childDataReceived(self, fd, data):
        if fd == 6:
            self.acknowledged += data.count(b"\n")
        else:
            self.note(["data", fd, data.decode()])

    def childConnectionLost(self, fd):
        if fd < 3:
            self.note(["lost", fd])

    def processExited(self, reason):
        self.exited = True
        self.note(["exited", reason.value.exitCode, reason.value.signal])

    def processEnded(self, reason):
        self.ended = True
        self.note(["ended", reason.value.exitCode, reason.value.signal])


def canonical(events):
    """The events of one step: data in one piece, sorted, except for the end."""
    data, others = {}, []
    for event in events:
        if event[0] != "data":
            others.append(event)
            continue
        assert ["lost", event[1]] not in others, events
        data[event[1]] = data.get(event[1], "") + event[2]
    told = [event for event in events if event[0] != "exited_already"]
    assert all(event[0] != "ended" for event in told[:-1]), events
    pieces = [["data", fd, text] for fd, text in data.items()]
    return sorted(pieces + others, key=lambda event: (event[0] == "ended", json.dumps(event)))


def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "what this step waits for does not come"
        reactor.iterate(0.01)


def play(config, steps, reasons):
    child = Child(config, reasons)
    descriptors = {0: "w", 1: "r", 2: "r", 5: "w", 6: "r", 7: "w"}
    process = reactor.spawnProcess(child, "/bin/sh", ["sh", CHILD], env={"PATH": os.environ["PATH"]}, childFDs=descriptors)
    happened = []

    def told(fd, command):
        before = child.acknowledged
        process.writeToChild(fd, command.encode() + b"\n")
        until(lambda: child.acknowledged > before)

    def finish():
        for _ in range(TURNS):
            reactor.iterate(0)
        happened.append(canonical(child.events))
        child.events.clear()

    finish()
    for who, what in steps:
        if who == "child":
            if what.split()[0] in ("exit", "kill") or what == "die":
                process.writeToChild(5, what.replace("die", "out x").encode() + b"\n")
                until(lambda: child.exited)
            else:
                told(5, what)
        elif who == "daemon":
            if what == "exit":
                process.writeToChild(7, b"exit 0\n")
                if child.exited:
                    until(lambda: child.ended)
                else:
                    told(5, "wait")
            else:
                told(7, what)
        elif what.startswith("write"):
            process.write(what[6:].encode() + b"\n")
        elif what.startswith("close"):
            process.closeChildFD(int(what[5:]))
        elif what == "lose":
            process.loseConnection()
        elif what.startswith("signal"):
            try:
                process.signalProcess(what[7:])
                until(lambda: child.exited)
            except error.ProcessExitedAlready:
                child.events.append(["exited_already"])
        finish()
    until(lambda: child.ended)
    return happened


class Plan:
    """A random sequence of possible steps: whoever gets a command is running, and has what it needs."""

    def __init__(self, generator, actions):
        self.generator, self.actions, self.steps = generator, actions, []
        self.child, self.daemon = {0, 1, 2}, None
        self.read, self.fed = {1, 2}, 0
        self.cut = False
        self.dead = self.closed_input = False
        self.pick = generator.choice

    def add(self, who, what):
        self.steps.append([who, what])

    def exit(self, what):
        self.add("child", what)
        self.dead = True

    def by_child(self):
        choices = ["out", "err", "close", "close", "exit", "kill", "daemon", "echo", "die"]
        what = self.pick(choices)
        if what == "out" and 1 in self.child & self.read or what == "err" and 2 in self.child & self.read:
            self.add("child", "%s %s" % (what, self.pick("abcdefg")))
        elif what == "close":
            fd = self.pick([0, 1, 2])
            if fd in self.child:
                self.child.discard(fd)
                self.add("child", "close%d" % fd)
        elif what == "exit" and self.generator.random() < 0.5:
            self.exit("exit %d" % self.pick([0, 0, 1, 7, 255]))
        elif what == "kill" and self.generator.random() < 0.3:
            self.exit("kill %s" % self.pick(["TERM", "KILL", "HUP"]))
        elif what == "daemon" and self.daemon is None and 0 in self.child:
            self.daemon = set(self.child)
            self.add("child", "daemon")
        elif what == "echo" and self.fed and 0 in self.child and 1 in self.child & self.read:
            self.fed -= 1
            self.add("child", "echo")
        elif what == "die" and 1 in self.child and self.cut:
            self.exit("die")

    def by_daemon(self):
        if self.dead and self.actions.get("exited") == "lose":
            self.read.clear()
        what = self.pick(["out", "err", "close", "exit"])
        if what == "out" and 1 in self.daemon & self.read or what == "err" and 2 in self.daemon & self.read:
            self.add("daemon", "%s %s" % (what, self.pick("xyz")))
        elif what == "close":
            fd = self.pick([0, 1, 2])
            if fd in self.daemon:
                self.daemon.discard(fd)
                self.add("daemon", "close%d" % fd)
        elif what == "exit":
            self.add("daemon", "exit")
            self.daemon = set()
            self.gone = True

    def by_us(self):
        what = self.pick(["write", "write", "close0", "close1", "close2", "lose", "signal"])
        if what == "write":
            if not self.closed_input and (0 in self.child and not self.dead):
                self.fed += 1
                self.add("us", "write " + self.pick("hijk"))
        elif what == "signal":
            if self.dead or self.generator.random() < 0.3:
                self.add("us", "signal " + self.pick(["TERM", "KILL", "INT", "HUP"]))
                self.dead = True
        else:
            self.add("us", what)
            if what in ("close0", "lose"):
                self.closed_input = True
            self.cut |= what in ("close1", "lose")
            if what == "lose":
                self.read.clear()
            else:
                self.read.discard(int(what[5:]))

    def draw(self):
        gone = lambda: getattr(self, "gone", False)
        for _ in range(self.generator.randint(2, 14)):
            if self.dead and (self.daemon is None or gone()):
                break
            who = self.pick(["child", "child", "child", "daemon", "us"])
            if who == "child" and not self.dead:
                self.by_child()
            elif who == "daemon" and self.daemon is not None and not gone():
                self.by_daemon()
            elif who == "us":
                self.by_us()
        if not self.dead:
            self.exit("exit 0")
        if self.daemon is not None and not gone():
            self.add("daemon", "exit")
        return self.steps


def draw(generator):
    actions = {}
    if generator.random() < 0.4:
        event = generator.choice(["made", "data", "lost", "exited", "ended"])
        acts = {"made": ["close_stdin", "raise"], "data": ["close_stdin"], "lost": ["raise"]}
        actions[event] = generator.choice(acts.get(event, ["lose", "signal", "raise"]))
    plan = Plan(generator, actions)
    if actions.get("made") or actions.get("data"):
        plan.closed_input = True
    if actions.get("made") == "raise":
        # Torsade closes what the plan would still use.
        plan.read.clear()
    return {"actions": actions}, plan.draw()


def record(generator):
    config, steps = draw(generator)
    try:
        expect = play(config, steps, [])
    except Exception:
        print(json.dumps([config, steps]))
        raise
    vector = {"target": "process", "config": config, "steps": steps, "expect": expect}
    deviating = play(config, steps, REASONS)
    if deviating != expect:
        vector["deviation"] = {"reasons": REASONS, "expect": deviating}
    return vector


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="the same seed and number of cases give the same file")
    parser.add_argument("--cases", type=int, default=400, help="how many vectors")
    parser.add_argument("--out", required=True, help="the directory to write to; made if it is not there")
    options = parser.parse_args()
    # Errors in callbacks are deliberate.
    globalLogBeginner.beginLoggingTo([lambda event: None], redirectStandardIO=False)
    reactor.startRunning(True)
    generator = random.Random(options.seed)
    os.makedirs(options.out, exist_ok=True)
    vectors = [record(generator) for _ in range(options.cases)]
    lines = "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors)
    with open(os.path.join(options.out, "processes.jsonl.gz"), "wb") as file:
        # Without a timestamp, so that the same vectors give the same bytes.
        file.write(gzip.compress(lines.encode("ascii"), 9, mtime=0))
    marked = sum("deviation" in vector for vector in vectors)
    print("Twisted %s: %d vectors, %d marked as deviations" % (twisted.__version__, len(vectors), marked))


if __name__ == "__main__":
    main()
