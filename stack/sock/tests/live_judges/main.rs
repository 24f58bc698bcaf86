//! The stack on TAPs before outside judges: ping, arping, traceroute, nmap, hping3, tshark, and the
//! kernel's own sockets. Each test has namespaces of its own; without the right to make them, or
//! without its tool (`.ci/packages.txt`), it says so by name and is skipped.

mod capture;
mod changes;
mod flows;
mod lab;
mod many;
mod probes;
mod router;
mod share;
