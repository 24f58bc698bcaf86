//! Drivers: tap, pair, pcap_file; interface set-up over netlink; namespaces.
