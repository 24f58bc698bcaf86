//! The engine without a face: for a program that calls the functions of the protocols one after
//! the other, with no stream between them. It asks for its users, gives what `ip` has, and takes
//! what is left for users, for `ip` and for its clock.

use super::{Asked, Engine};
use alloc::vec::Vec;
use millstream_msg::{Msg, MsgList, Pool};

/// Who is above an engine that is called directly.
pub trait Above {
    /// A message for a user: an answer, an indication or data, in order.
    fn give(&mut self, user: u32, msg: Msg, pool: &mut Pool);

    /// Octets that a user was given and has not read: the window is smaller by them.
    fn unread(&self, user: u32) -> u32;

    /// A user who had no room to send has some again.
    fn room(&mut self, user: u32);
}

impl Engine {
    /// A message of a user: data, or a request of TPI. `random` comes from the caller's source.
    pub fn ask(&mut self, user: u32, msg: Msg, now: u64, random: u32, pool: &mut Pool) {
        self.asks(msg, &mut Asked { user, now, random, pool });
    }

    /// Gives users what there is for them, and sends what connections may send then; behind each
    /// call of another function.
    pub fn run(&mut self, above: &mut impl Above, now: u64, pool: &mut Pool) {
        self.tell_above(above, pool);
        while let Some((number, user)) = self.next_dirty() {
            while let Some(user) = user
                && self.has_up(number)
                && let Some(msg) = self.next_up(number, pool)
            {
                above.give(user, msg, pool);
            }
            let unread = user.map_or(0, |user| above.unread(user));
            self.output(number, unread, now, pool);
        }
        self.tell_above(above, pool);
        let shared = self.shared();
        for (msg, _) in shared.act.dropped.drain(..) {
            pool.free(msg);
        }
        shared.happened.clear();
        shared.act.consumed = 0;
    }

    /// The packets for `ip` that were left.
    pub fn take_down(&mut self) -> MsgList {
        core::mem::take(&mut self.shared().act.down)
    }

    /// The sockets whose deadline has changed, and when to call [`Engine::expired`]: `u64::MAX`
    /// is never. `into` is empty, and changes place with them.
    pub fn take_timers(&mut self, into: &mut Vec<(u32, u64)>) {
        core::mem::swap(&mut self.out.timers, into);
    }

    fn tell_above(&mut self, above: &mut impl Above, pool: &mut Pool) {
        for (user, msg) in self.out.up.drain(..) {
            above.give(user, msg, pool);
        }
        for user in self.out.room.drain(..) {
            above.room(user);
        }
        self.out.closed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::Ctl;
    use core::net::{IpAddr, SocketAddr};
    use millstream_core::tpi::{self, Primitive};
    use millstream_msg::{Kind, PoolConfig};

    /// Users who keep everything.
    #[derive(Default)]
    struct Users {
        words: Vec<(u32, Vec<u8>)>,
        data: Vec<u8>,
        unread: u32,
        room: u32,
    }

    impl Above for Users {
        fn give(&mut self, user: u32, msg: Msg, pool: &mut Pool) {
            let mut bytes = alloc::vec![0; msg.len()];
            msg.copy_out(0, &mut bytes);
            match msg.kind() {
                Kind::Data => self.data.extend(bytes),
                _ => self.words.push((user, bytes)),
            }
            pool.free(msg);
        }

        fn unread(&self, _: u32) -> u32 {
            self.unread
        }

        fn room(&mut self, _: u32) {
            self.room += 1;
        }
    }

    struct Host {
        engine: Engine,
        users: Users,
    }

    impl Host {
        fn new(key: u64, own: IpAddr) -> Self {
            let mut engine = Engine::new(key);
            let mut pool = Pool::new(PoolConfig::TINY);
            engine.told(&Ctl::AddAddress(own, 24), 0, &mut pool);
            engine.told(&Ctl::Mtu(own, 1500), 0, &mut pool);
            Self { engine, users: Users::default() }
        }

        fn ask(&mut self, user: u32, asked: &Primitive, pool: &mut Pool) {
            let msg = asked.to_msg(asked.kind(), pool).unwrap();
            self.engine.ask(user, msg, 0, 1, pool);
            self.engine.run(&mut self.users, 0, pool);
        }

        /// The last word for a user.
        fn word(&self, user: u32) -> Option<i32> {
            let mut of_user = self.users.words.iter().rev().filter(|(of, _)| *of == user);
            of_user.next().and_then(|(_, bytes)| tpi::primitive(bytes))
        }
    }

    /// Carries packets until none is left. Their headers are `ip`'s to finish: it does.
    fn carry(hosts: &mut [Host; 2], pool: &mut Pool) {
        use crate::hash::Keyed;
        use crate::ip::{self, Taker, route::Interface};
        for _ in 0..64 {
            let mut idle = true;
            for from in 0..2 {
                for packet in hosts[from].engine.take_down() {
                    idle = false;
                    let mut ip = ip::Engine::new(Keyed::new(1));
                    let interface = ip.net.add_interface(Interface::new(1500)).unwrap();
                    ip.net.add_address(interface, ADDRESSES[from], 24).unwrap();
                    ip.output(packet, 0, 1, pool);
                    let mut far = ip::Engine::new(Keyed::new(1));
                    let interface = far.net.add_interface(Interface::new(1500)).unwrap();
                    far.net.add_address(interface, ADDRESSES[1 - from], 24).unwrap();
                    for mut frame in ip.take_frames(interface) {
                        // As `arp` does.
                        let header = frame.make_writable(pool, 14).unwrap();
                        header[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
                        far.input(frame, interface, 0, 1, pool);
                    }
                    let mut up = Vec::new();
                    far.take_up(&mut up);
                    for (taker, packet) in up {
                        assert_eq!(taker, Taker::Protocol(6));
                        let Host { engine, users } = &mut hosts[1 - from];
                        engine.input(packet, 0, pool);
                        engine.run(users, 0, pool);
                    }
                }
            }
            if idle {
                return;
            }
        }
        panic!("no end");
    }

    const ADDRESSES: [IpAddr; 2] = [
        IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2)),
    ];

    /// Two hosts, and their users: a caller, and who was called.
    fn connected(pool: &mut Pool) -> ([Host; 2], [u32; 2]) {
        let mut hosts = [Host::new(1, ADDRESSES[0]), Host::new(2, ADDRESSES[1])];
        let [caller, listener] = hosts.each_mut().map(|host| host.engine.open());
        let at = SocketAddr::new(ADDRESSES[1], 80);
        hosts[1].ask(listener, &Primitive::bind_req(at).with_word(12, 4), pool);
        assert_eq!(hosts[1].word(listener), Some(tpi::T_BIND_ACK));
        hosts[0].ask(caller, &Primitive::bind_req(SocketAddr::new(ADDRESSES[0], 0)), pool);
        hosts[0].ask(caller, &Primitive::conn_req(at), pool);
        carry(&mut hosts, pool);
        assert_eq!(hosts[0].word(caller), Some(tpi::T_CONN_CON));
        assert_eq!(hosts[1].word(listener), Some(tpi::T_CONN_IND));
        let call = hosts[1].users.words.last().unwrap().1.clone();
        let sequence = tpi::ConnInd::new(&call).unwrap().sequence();
        let called = hosts[1].engine.open();
        hosts[1].ask(listener, &Primitive::conn_res(called as i32, sequence), pool);
        assert_eq!(hosts[1].word(listener), Some(tpi::T_OK_ACK));
        (hosts, [caller, called])
    }

    #[test]
    fn what_a_user_sends_comes_to_the_other_with_no_stream_between() {
        let mut pool = Pool::new(PoolConfig::STACK);
        let (mut hosts, [caller, _]) = connected(&mut pool);
        let data = pool.copy_from(0, b"hand to hand").unwrap();
        hosts[0].engine.ask(caller, data, 0, 1, &mut pool);
        let Host { engine, users } = &mut hosts[0];
        engine.run(users, 0, &mut pool);
        carry(&mut hosts, &mut pool);
        assert_eq!(hosts[1].users.data, b"hand to hand");
    }

    #[test]
    fn who_does_not_read_is_sent_no_more_than_its_window() {
        let mut pool = Pool::new(PoolConfig::STACK);
        let (mut hosts, [caller, _]) = connected(&mut pool);
        let mut sent = 0_u32;
        for _ in 0..64 {
            if hosts[0].engine.has_room(caller) {
                let data = pool.copy_from(0, &[7; 32_000]).unwrap();
                sent += 32_000;
                hosts[0].engine.ask(caller, data, 0, 1, &mut pool);
            }
            let Host { engine, users } = &mut hosts[0];
            engine.run(users, 0, &mut pool);
            hosts[1].users.unread = hosts[1].users.data.len() as u32;
            carry(&mut hosts, &mut pool);
        }
        let came = hosts[1].users.data.len() as u32;
        assert!(came > 0 && came < sent, "{came} of {sent}");
        assert_eq!(hosts[0].users.room, 0);
    }

    #[test]
    fn deadlines_are_told_and_an_unanswered_segment_is_sent_again() {
        let mut pool = Pool::new(PoolConfig::STACK);
        let (mut hosts, [caller, _]) = connected(&mut pool);
        let mut timers = Vec::new();
        hosts[0].engine.take_timers(&mut timers);
        timers.clear();
        let data = pool.copy_from(0, b"lost").unwrap();
        hosts[0].engine.ask(caller, data, 0, 1, &mut pool);
        let Host { engine, users } = &mut hosts[0];
        engine.run(users, 0, &mut pool);
        for lost in engine.take_down() {
            pool.free(lost);
        }
        engine.take_timers(&mut timers);
        let mut again = 0;
        // A loss probe, or the timeout itself.
        while again == 0 && !timers.is_empty() {
            for (number, at) in core::mem::take(&mut timers) {
                if at == u64::MAX {
                    continue;
                }
                engine.expired(number, at, &mut pool);
                engine.run(users, at, &mut pool);
                for segment in engine.take_down() {
                    again += 1;
                    pool.free(segment);
                }
            }
            engine.take_timers(&mut timers);
        }
        assert!(again > 0, "it was never sent again");
    }
}
