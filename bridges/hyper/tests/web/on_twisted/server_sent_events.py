"""The example server_sent_events on Twisted; `/events?COUNT` ends after that many, without a second between them."""

from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site


class Events(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"text/event-stream")
        request.setHeader(b"cache-control", b"no-cache")
        left = int(request.uri.split(b"?")[1])
        ticks = iter(range(1, left + 1))

        def tick():
            number = next(ticks, None)
            if number is None:
                ticking.stop()
                request.finish()
            else:
                request.write(b"data: tick %d\n\n" % number)

        ticking = LoopingCall(tick)
        ticking.start(0.01)
        return NOT_DONE_YET


reactor.listenTCP(8880, Site(Events()))
reactor.run()
