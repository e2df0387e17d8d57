"""Runs the cases of the Autobahn test suite against our WebSocket example, and counts the results; see `autobahn`."""

import collections
import json
import os
import subprocess
import sys
import tempfile

from peers import check, listening

MAX_MESSAGE = 16 << 20
# How long the whole suite may take, in seconds.
LIMIT = 3600
# The suite's result of a case. The RFC allows "NON-STRICT", but for fail-fast UTF-8 (6.4) we require strict behaviour.
GOOD = {"OK", "INFORMATIONAL"}
GROUPS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8",
    "7": "closing", "9": "limits and performance", "10": "messages of many frames", "12": "permessage-deflate, sizes",
    "13": "permessage-deflate, parameters",
}
# A folder of installed packages, treated like site-packages, including namespace packages.
START = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def results(python, suite, url, cases, folder):
    specification = {
        "servers": [{"agent": "torsade", "url": url, "options": {"version": 18}}],
        "outdir": folder, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
    }
    path = os.path.join(folder, "specification.json")
    with open(path, "w") as file:
        json.dump(specification, file)
    command = [python, "-c", START, os.path.abspath(suite), "--mode", "fuzzingclient", "--spec", path]
    with open(os.path.join(folder, "log"), "w+") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=LIMIT)
        log.seek(0)
        check(done.returncode == 0, log.read()[-2000:])
    with open(os.path.join(folder, "index.json")) as index:
        return json.load(index)["torsade"]


def main():
    python, suite, *cases = sys.argv[1:]
    server, path = ("websocket_echo", "127.0.0.1:0", str(MAX_MESSAGE)), ""
    if cases == ["--chat"]:
        server, path, cases = ("websocket_chat", "127.0.0.1:0"), "echo", [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)]
    with tempfile.TemporaryDirectory() as folder, listening(*server) as (port, _):
        found = results(python, suite, f"ws://127.0.0.1:{port}/{path}", cases or ["*"], folder)
    check(found, "no case of that name")
    groups, failed = collections.defaultdict(collections.Counter), []
    for case, result in found.items():
        groups[case.split(".")[0]][result["behavior"]] += 1
        if not {result["behavior"], result["behaviorClose"]} <= GOOD:
            failed.append((case, result["behavior"], result["behaviorClose"]))
    for group in sorted(groups, key=int):
        counts = ", ".join(f"{count} {behavior}" for behavior, count in sorted(groups[group].items()))
        print(f"{group:>2}  {GROUPS.get(group, ''):<32}{counts}")
    for case, behavior, closing in sorted(failed):
        print(f"failed: {case}: {behavior}, closing {closing}")
    print(f"{len(found) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
