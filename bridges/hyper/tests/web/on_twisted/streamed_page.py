"""The example streamed_page on Twisted: a pull producer for a request."""

from twisted.internet import reactor
from twisted.internet.interfaces import IPullProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer


@implementer(IPullProducer)
class Numbers:
    def __init__(self, request, count):
        self.request, self.numbers = request, iter(range(count))

    def resumeProducing(self):
        piece = b"".join(b"%d\n" % number for _, number in zip(range(1000), self.numbers))
        if piece:
            self.request.write(piece)
        else:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self):
        pass


class Page(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"text/plain")
        request.registerProducer(Numbers(request, int(request.path[1:])), False)
        return NOT_DONE_YET


reactor.listenTCP(8880, Site(Page()))
reactor.run()
