"""Echoes on all addresses: children of one listener, which accept for themselves."""
import os
import signal
import socketserver


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True


listener = Server(("0.0.0.0", 7000), Echo)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        children = []
        break
    children.append(child)


def end(*_):
    for child in children:
        os.kill(child, signal.SIGTERM)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
listener.serve_forever()
