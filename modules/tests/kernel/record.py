#!/usr/bin/env python3
"""Records conversations of two Linux kernels, as seen at the second one, for tcp_kernel.rs.

    record.py MILLSTREAM FOLDER [SCENE ...]        as root, with tcpdump and iproute2

The kernels are in two namespaces; a stack that forwards stands between them, with `impair` for what
the line does. Headers only are kept: what the octets were is not part of it.
"""
import os
import signal
import subprocess
import sys
import textwrap
import time

MILLSTREAM, FOLDER, *ONLY = sys.argv[1:]
KERNEL, OTHER = "10.1.0.1", "10.2.0.1"
HEAD = """
import socket, struct, time
from socket import *
KERNEL, OTHER = "%s", "%s"
def listen(rcvbuf=0):
    l = socket(); l.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); l.setsockopt(IPPROTO_TCP, 13, b'cubic')
    if rcvbuf: l.setsockopt(SOL_SOCKET, SO_RCVBUF, rcvbuf)
    l.bind(("", 80)); l.listen(4); s = l.accept()[0]; l.close(); return s
def dial(to, port=0):
    s = socket(); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); s.setsockopt(IPPROTO_TCP, 13, b'cubic')
    s.bind(("", port)); s.connect((to, 80)); return s
def take(s, n=1 << 30):
    got = 0
    while got < n:
        piece = s.recv(min(65536, n - got))
        if not piece: break
        got += len(piece)
    return got
""" % (KERNEL, OTHER)

# Name, what the line does, what the kernel whose segments are replayed does, and what the other does.
SCENES = [
    ("request", "delay=5ms",
     "s = dial(OTHER); s.sendall(b'q' * 100); take(s, 3000); s.close()",
     "s = listen(); take(s, 100); s.sendall(b'a' * 3000); take(s); s.close()"),
    ("bulk_in", "delay=5ms",
     "s = dial(OTHER); s.sendall(b'x' * 60000); s.close()",
     "s = listen(); take(s); s.close()"),
    ("bulk_out", "delay=5ms",
     "s = listen(); take(s); s.close()",
     "s = dial(KERNEL); s.sendall(b'x' * 60000); s.close()"),
    ("loss_in", "delay=10ms loss=4% seed=5",
     "s = dial(OTHER); s.sendall(b'x' * 80000); s.close()",
     "s = listen(); take(s); s.close()"),
    ("loss_out", "delay=10ms loss=4% seed=6",
     "s = listen(); take(s); s.close()",
     "s = dial(KERNEL); s.sendall(b'x' * 80000); s.close()"),
    ("reordering", "delay=10ms reorder=5% reorder-delay=6ms seed=7",
     "s = dial(OTHER); s.sendall(b'x' * 80000); s.close()",
     "s = listen(); take(s); s.close()"),
    ("window_full", "delay=5ms",
     "s = listen(4096); time.sleep(1.5); take(s); s.close()",
     "s = dial(KERNEL); s.sendall(b'x' * 20000); s.close()"),
    ("urgent", "delay=5ms",
     "s = dial(OTHER); s.sendall(b'x' * 500); s.send(b'!', MSG_OOB); s.sendall(b'y' * 500); take(s); s.close()",
     "s = listen(); s.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1); take(s, 1001); s.close()"),
    ("half_close", "delay=5ms",
     "s = dial(OTHER); s.sendall(b'q' * 700); s.shutdown(SHUT_WR); take(s); s.close()",
     "s = listen(); take(s); s.sendall(b'a' * 20000); s.close()"),
    ("both_close", "delay=50ms",
     "s = dial(OTHER); s.sendall(b'x' * 10); take(s, 10); time.sleep(0.5); s.shutdown(SHUT_WR); take(s); s.close()",
     "s = listen(); take(s, 10); s.sendall(b'y' * 10); time.sleep(0.55); s.shutdown(SHUT_WR); take(s); s.close()"),
    ("both_open", "delay=100ms",
     "s = socket(); s.bind(('', 81)); time.sleep(0.3); s.connect((OTHER, 81)); s.sendall(b'x' * 10); take(s); s.close()",
     "s = socket(); s.bind(('', 81)); time.sleep(0.3); s.connect((KERNEL, 81)); take(s, 10); s.close()"),
    ("keepalive", "delay=5ms",
     "s = dial(OTHER); s.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)\n"
     "s.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 1); s.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, 1)\n"
     "s.sendall(b'x' * 10); time.sleep(3.5); s.close()",
     "s = listen(); take(s); s.close()"),
    ("reset", "delay=5ms",
     "s = listen(); take(s, 100); time.sleep(0.2); s.close()",
     "s = dial(KERNEL); s.sendall(b'x' * 3000); time.sleep(0.5); s.close()"),
    ("small_pieces", "delay=5ms",
     "s = dial(OTHER); s.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)\n"
     "for n in range(20): s.sendall(b'k'); take(s, 1)\ns.close()",
     "s = listen(); s.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)\n"
     "for n in range(20): take(s, 1); s.sendall(b'e')\ntake(s); s.close()"),
]


def sh(line, **more):
    return subprocess.run(line, shell=True, check=True, **more)


def inside(space, code):
    code = HEAD + textwrap.dedent(code)
    return subprocess.Popen(["ip", "netns", "exec", space, sys.executable, "-c", code])


def up():
    for space in ("kernel", "other"):
        sh(f"ip netns del {space} 2>/dev/null; ip netns add {space}; ip netns exec {space} ip link set lo up")
    stack = subprocess.Popen(
        [MILLSTREAM, "up", "--name", "record", "--tap", "tapk", "--addr", "10.1.0.2/24", "--tap", "tapo",
         "--addr", "10.2.0.2/24", "--forward", "--plain", "--service", "none"],
        stdout=subprocess.DEVNULL)
    while subprocess.run("ip link show tapo", shell=True, capture_output=True).returncode:
        time.sleep(0.1)
    time.sleep(0.5)
    for space, tap, net in (("kernel", "tapk", "10.1.0"), ("other", "tapo", "10.2.0")):
        sh(f"ip link set {tap} netns {space}")
        sh(f"ip -n {space} addr add {net}.1/24 dev {tap}; ip -n {space} link set {tap} up")
        sh(f"ip -n {space} route add default via {net}.2")
    sh("ip netns exec kernel ping -qc 1 10.2.0.1", stdout=subprocess.DEVNULL)
    sh(f"{MILLSTREAM} insert --name record tapo 0 impair delay=1ms", stdout=subprocess.DEVNULL)
    return stack


def main():
    stack = up()
    try:
        for name, line, kernel, other in SCENES:
            if ONLY and name not in ONLY:
                continue
            plain = "jitter=0 loss=0% reorder=0% delay=5ms"
            sh(f"{MILLSTREAM} set --name record tapo 0 {plain}", stdout=subprocess.DEVNULL)
            sh(f"{MILLSTREAM} set --name record tapo 0 {line}", stdout=subprocess.DEVNULL)
            path = os.path.join(FOLDER, f"{name}.pcap")
            dump = subprocess.Popen(
                ["ip", "netns", "exec", "other", "tcpdump", "-qni", "tapo", "-s", "96", "-Uw", path, "tcp"],
                stderr=subprocess.DEVNULL)
            time.sleep(1)
            first, second = (kernel, other) if "listen" in kernel else (other, kernel)
            spaces = ("kernel", "other") if "listen" in kernel else ("other", "kernel")
            runs = [inside(spaces[0], first)]
            time.sleep(0 if name == "both_open" else 0.4)
            runs.append(inside(spaces[1], second))
            for run in runs:
                run.wait(30)
            time.sleep(1)
            dump.send_signal(signal.SIGTERM)
            dump.wait()
            print(name, os.path.getsize(path))
    finally:
        stack.terminate()
        stack.wait()
        sh("ip netns del kernel; ip netns del other")


main()
