"""Echoes on all addresses: children of one listener, which accept for themselves."""
import os
import socket
import socketserver


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True


listener = Server(("0.0.0.0", 7000), Echo)
for _ in range(2):
    if os.fork() == 0:
        break
listener.serve_forever()
