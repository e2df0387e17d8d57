"""Records what the real Twisted does, as vectors that `cargo test --test twisted protocols` replays without Python.

Needs Twisted (made with 26.10.0): pip install Twisted==26.10.0

    python tests/twisted/record.py --seed 1 --cases 3000 --out DIR
    python tests/twisted/record.py --seed 1 --cases 600 --group datagrams --out DIR
    python tests/twisted/record.py --seed 1 --cases 1500 --group proxy --out DIR

Each writes one gzipped JSON Lines file for each group of targets into DIR. TORSADE_VECTORS=DIR makes the test replay that directory.

A vector is {"target", "config", "steps", "expect"}. Where Torsade deviates from Twisted on purpose, with a visible
effect, there is also "deviation": {"reasons", "expect"}, with what Twisted does after those changes.
"""

import argparse
import gzip
import json
import os
import random

import twisted

import datagrams
import framing
import policies
import proxy
from harness import finished


GROUPS = {"datagrams": datagrams, "framing": framing, "policies": policies, "proxy": proxy}


def record(module, target, generator):
    """One vector: a random script, and its events."""
    config, steps = module.CASES[target](generator, target)
    expect = finished(module.play(target, config, steps))
    vector = {"target": target, "config": config, "steps": steps, "expect": expect}
    known = module.TARGETS[target][-1]
    deviating = finished(module.play(target, config, steps, known))
    unchanged = finished(module.play(target, config, steps, []))
    if unchanged != expect:
        raise AssertionError("%s without deviations is not Twisted's: %s" % (target, json.dumps(vector)))
    if deviating != expect:
        without = lambda reason: [other for other in known if other != reason]
        needed = [reason for reason in known if finished(module.play(target, config, steps, without(reason))) != deviating]
        vector["deviation"] = {"reasons": needed or known, "expect": deviating}
    return vector


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="the same seed and number of cases give the same files")
    parser.add_argument("--cases", type=int, default=3000, help="how many vectors, over all targets")
    parser.add_argument("--group", choices=sorted(GROUPS), help="record this group of targets only")
    parser.add_argument("--out", required=True, help="the directory to write to; made if it is not there")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    os.makedirs(options.out, exist_ok=True)
    # Datagrams and PROXY headers are recorded separately, since additions to a group change the cases of all groups.
    names = [options.group] if options.group else ["framing", "policies"]
    targets = [(name, GROUPS[name], target) for name in names for target in GROUPS[name].TARGETS]
    lines = {name: [] for name in names}
    marked = 0
    for number in range(options.cases):
        name, module, target = targets[number % len(targets)]
        vector = record(module, target, generator)
        marked += "deviation" in vector
        lines[name].append(json.dumps(vector, separators=(",", ":")) + "\n")
    for name in lines:
        with open(os.path.join(options.out, name + ".jsonl.gz"), "wb") as file:
            # Without a timestamp, so that the same vectors give the same bytes.
            file.write(gzip.compress("".join(lines[name]).encode("ascii"), 9, mtime=0))
    print("Twisted %s: %d vectors, %d marked as deviations" % (twisted.__version__, options.cases, marked))


if __name__ == "__main__":
    main()
