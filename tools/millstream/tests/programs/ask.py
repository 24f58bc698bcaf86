"""Asks the echo on the stack: many octets, and many connections at once."""
import socket

TO = ("10.9.0.2", 7000)


def ask(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    got = b"".join(iter(lambda: connection.recv(65536), b""))
    assert got == data, len(got)


with socket.create_connection(TO, timeout=30) as one:
    ask(one, bytes(range(256)) * 1000)
many = [socket.create_connection(TO, timeout=30) for _ in range(8)]
for number, connection in enumerate(many):
    ask(connection, b"%d" % number)
    connection.close()
print("done")
