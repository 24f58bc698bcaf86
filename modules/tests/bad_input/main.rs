//! Bad input to a whole stack in virtual time: the classes of the public reports on embedded
//! stacks. After each: no panic, no cell missing, no answer to forged input, every drop has a
//! name, and the service answers. A test's number is that of its class in the checklist.

mod floods;
mod fragments;
mod frames;
mod icmp;
mod ip;
mod lab;
mod link;
mod udp;
