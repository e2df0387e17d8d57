"""Runs one of Twisted's own example programs, on a free port.

    python tests/twisted/original.py PROGRAM            a server; prints the port it listens on
    python tests/twisted/original.py PROGRAM HOST:PORT  a server that listens there
    python tests/twisted/original.py PROGRAM PORT       a client, which connects to that port

The programs name fixed ports, so listening and connecting are redirected; nothing else is changed.
"""

import os
import runpy
import sys

from twisted.internet import reactor

program = sys.argv[1]
listen, connect = reactor.listenTCP, reactor.connectTCP


def listen_anywhere(port, factory, backlog=50, interface=""):
    host, port = sys.argv[2].split(":") if len(sys.argv) > 2 else ("127.0.0.1", 0)
    listening = listen(int(port), factory, backlog, host)
    print("port", listening.getHost().port, file=sys.__stdout__, flush=True)
    return listening


def connect_there(host, port, factory, *args, **kwargs):
    return connect("127.0.0.1", int(sys.argv[2]), factory, *args, **kwargs)


reactor.listenTCP, reactor.connectTCP = listen_anywhere, connect_there
# Programs import their neighbours.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(program))))
namespace = runpy.run_path(program, run_name="__main__")
if "application" in namespace:
    # Written for twistd, which would start the application's services.
    reactor.listenTCP(0, namespace["factory"])
    reactor.run()
