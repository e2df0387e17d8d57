"""Runs one of Twisted's own web examples on a free port, and prints the port.

    python original.py PROGRAM [OLD=NEW ...]

PROGRAM is a program, a resource (`.rpy`), or a howto (`.rst`), whose last listing with imports is run. Each OLD in its text is
replaced. Listening is redirected, and five seconds are shortened; nothing else is changed.
"""

import re
import sys
import textwrap

from twisted.internet import reactor
from twisted.web.server import Site

listen, call_later = reactor.listenTCP, reactor.callLater


def listen_anywhere(port, factory, backlog=50, interface=""):
    listening = listen(0, factory, backlog, "127.0.0.1")
    print("port", listening.getHost().port, file=sys.__stdout__, flush=True)
    return listening


reactor.listenTCP = listen_anywhere
reactor.callLater = lambda delay, *rest, **named: call_later(0.01 if delay == 5 else delay, *rest, **named)
with open(sys.argv[1]) as file:
    text = file.read()
if sys.argv[1].endswith(".rst"):
    blocks = re.findall(r"(?:(?: {4}.*| *)\n)+", text)
    text = textwrap.dedent([block for block in blocks if "import" in block][-1])
for change in sys.argv[2:]:
    text = text.replace(*change.split("=", 1))
namespace = {"__name__": "__main__"}
exec(compile(text, sys.argv[1], "exec"), namespace)
if "reactor.run" not in text:
    resource = namespace["resource"]
    resource.isLeaf = True  # a script is requested by its name, with nothing after it
    reactor.listenTCP(0, Site(resource))
    reactor.run()
