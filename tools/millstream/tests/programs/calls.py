"""Calls of sockets on the stack, against an echo of the kernel."""
import asyncio
import fcntl
import os
import select
import selectors
import socket
import struct
import termios
import threading
import time

TO = ("10.9.0.1", 7000)


def connected():
    one = socket.create_connection(TO, timeout=30)
    one.settimeout(None)
    return one


def names():
    with connected() as one:
        assert one.getsockname()[0] == "10.9.0.2"
        assert one.getpeername() == TO
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def octets():
    data = os.urandom(1_000_000)
    with connected() as one:
        sender = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
        sender.start()
        got = b"".join(iter(lambda: one.recv(65536), b""))
        sender.join()
        assert got == data, len(got)


def pieces():
    with connected() as one:
        assert one.sendmsg([b"ab", b"", b"cde"]) == 5
        assert one.recv(5, socket.MSG_WAITALL | socket.MSG_PEEK)[:1] == b"a"
        assert one.recv(5, socket.MSG_WAITALL) == b"abcde"
        one.sendall(b"12345")
        first, second = bytearray(2), bytearray(3)
        got = 0
        while got < 5:
            got += one.recvmsg_into([first, second])[0] if got == 0 else len(one.recv(5))
        with one.makefile("rwb") as file:
            file.write(b"line\n")
            file.flush()
            assert file.readline() == b"line\n"


def waits():
    with connected() as one:
        one.settimeout(0.1)
        begin = time.monotonic()
        try:
            one.recv(1)
            raise AssertionError("nothing was sent")
        except TimeoutError:
            assert time.monotonic() - begin >= 0.09
        one.setblocking(False)
        try:
            one.recv(1)
            raise AssertionError("nothing was sent")
        except BlockingIOError:
            pass
        one.setblocking(True)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
        try:
            os.read(one.fileno(), 1)
            raise AssertionError("nothing was sent")
        except BlockingIOError:
            pass


def copies():
    with connected() as one:
        other = os.dup(one.fileno())
        one.close()
        os.write(other, b"x")
        assert os.read(other, 9) == b"x"
        third = fcntl.fcntl(other, fcntl.F_DUPFD, 100)
        os.close(other)
        os.write(third, b"y")
        assert select.select([third], [], [], 30)[0]
        waiting = struct.unpack("i", fcntl.ioctl(third, termios.FIONREAD, b"0000"))[0]
        assert waiting == 1 and os.read(third, 9) == b"y"
        os.close(third)


def readiness():
    with connected() as one:
        for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
            with kind() as chosen:
                here, there = os.pipe()
                chosen.register(here, selectors.EVENT_READ)
                chosen.register(one, selectors.EVENT_READ)
                assert chosen.select(0) == []
                one.sendall(b"z")
                assert [key.fileobj for key, _ in chosen.select(30)] == [one]
                assert one.recv(9) == b"z"
                os.write(there, b"!")
                assert [key.fileobj for key, _ in chosen.select(30)] == [here]
                chosen.modify(one, selectors.EVENT_WRITE)
                assert {key.fileobj for key, _ in chosen.select(30)} <= {one, here}
                os.close(here)
                os.close(there)


def edges():
    with connected() as one, select.epoll() as chosen:
        chosen.register(one, select.EPOLLIN | select.EPOLLET)
        assert chosen.poll(0) == []
        one.sendall(b"a")
        assert chosen.poll(30) == [(one.fileno(), select.EPOLLIN)]
        assert chosen.poll(0.05) == []
        assert one.recv(9) == b"a"
        one.sendall(b"b")
        assert chosen.poll(30) == [(one.fileno(), select.EPOLLIN)]
        chosen.modify(one, select.EPOLLIN | select.EPOLLONESHOT)
        assert len(chosen.poll(30)) == 1
        assert chosen.poll(0.05) == []
        chosen.modify(one, select.EPOLLIN | select.EPOLLONESHOT)
        assert len(chosen.poll(30)) == 1


def refused():
    for blocking in (True, False):
        one = socket.socket()
        one.setblocking(blocking)
        error = one.connect_ex(("10.9.0.1", 9))
        if not blocking:
            select.select([], [one], [], 30)
            error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert os.strerror(error) == "Connection refused", error
        one.close()


def datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("10.9.0.2", 5000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"to nobody", ("10.9.0.1", 9))
            assert one.getsockname() == ("10.9.0.2", 5000)


async def streams():
    reader, writer = await asyncio.open_connection(*TO)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()


def families():
    """What is not IPv4 is the kernel's, and a pair is what it was."""
    one, other = socket.socketpair()
    one.sendall(b"p")
    assert other.recv(1) == b"p"
    here = socket.create_server(("127.0.0.1", 0))
    there = socket.create_connection(here.getsockname())
    assert there.getpeername()[0] == "127.0.0.1"


for call in (names, octets, pieces, waits, copies, readiness, edges, refused, datagrams, families):
    call()
asyncio.run(streams())
print("done")
