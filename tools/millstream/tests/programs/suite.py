"""CPython's own tests of sockets, with an address of the stack in place of loopback.

suite.py ADDRESS [CLASS or CLASS.test ...]: a line for each test, and how many there were.
"""
import faulthandler
import sys
import unittest
from test.support import socket_helper

host, names = sys.argv[1], sys.argv[2:]
socket_helper.HOST = socket_helper.HOSTv4 = host
socket_helper.bind_port.__defaults__ = (host,)

from test import test_socket  # It takes the address when it is imported.

# Families and protocols that a stack of IPv4 has nothing of.
OTHERS = ("CAN", "J1939", "ISOTP", "RDS", "QIPCRTR", "VSOCK", "Bluetooth", "LITE", "SCTP", "6",
          "Unix", "UNIX", "Alg")
# Their time-outs are of seconds: on a machine under load what has failed is tried again.
ATTEMPTS = 3


def cases(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


def outcome(test):
    result = unittest.TestResult()
    unittest.TestSuite([test]).run(result)
    if result.failures or result.errors:
        return "failed", (result.failures + result.errors)[0][1].strip().splitlines()[-1]
    return ("skipped", result.skipped[0][1]) if result.skipped else ("passed", "")


def main():
    loader = unittest.TestLoader()
    classes = [
        name for name, what in vars(test_socket).items()
        if isinstance(what, type) and issubclass(what, unittest.TestCase)
        and not any(other in name for other in OTHERS)
    ]
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for test in cases(loader.loadTestsFromNames(names or classes, test_socket)):
        for attempt in range(ATTEMPTS):
            # One that hangs tells where, and ends the program.
            faulthandler.dump_traceback_later(120, exit=True)
            word, why = outcome(loader.loadTestsFromName(test.id()) if attempt else test)
            if word != "failed":
                break
        counts[word] += 1
        print(word, test.id().removeprefix("test.test_socket."), why, flush=True)
    print(*(f"{count} {word}" for word, count in counts.items()), sep=", ")


main()
