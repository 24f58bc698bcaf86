//! Modules: null, count, impair, capture, arp, ip, udp and services.
