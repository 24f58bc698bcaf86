//! rpc: a stream of `tcp` or `udp` becomes calls and replies of ONC RPC (RFC 5531), in both
//! directions. What goes over the upper boundary is told in [`primitive`].
//!
//! Up: octets become records ([`marking`]) or datagrams are taken as they are; a call that a
//! program is there for goes up as one message, every other one is answered here. Down: replies
//! find their calls by name ([`calls`]) and leave together ([`replies`]); calls get an xid, and
//! their replies go up as they come ([`client`]). A call that was sent twice is executed once
//! (`drc`).
//!
//! While replies cannot go down, or many calls are in progress, what comes waits in the read queue
//! and the transport's window closes. A connection that ends takes its leave when the calls in
//! progress are answered (`ends`). Who asks for it gets calls and gives replies in batches
//! ([`batch`]). M_FLUSH passes: to lose octets of a record would be to lose
//! all that follow.

pub mod batch;
pub mod calls;
pub mod client;
mod commons;
pub mod drc;
mod ends;
mod face;
mod gather;
pub mod header;
mod ioctls;
pub mod marking;
pub mod primitive;
pub mod replies;
pub mod rtt;
mod server;
mod settings;
mod tally;

pub use commons::{Commons, Shared};
pub use face::INFO;
pub use ioctls::{RPC_CLIENT, RPC_REGISTER, RPC_SERVER, RPC_UNREGISTER};
pub use settings::Settings;
pub use tally::Tally;

use crate::actions::reasons;
use alloc::boxed::Box;
use alloc::vec::Vec;
use calls::Calls;
use client::Client;
use core::net::SocketAddr;
use drc::EntryId;
use ends::Phase;
use ioctls::Offer;
use marking::Marking;
use millstream_core::Drop;
use millstream_msg::{Msg, MsgList};
use millstream_onc::Transport;
use replies::Replies;
use server::Template;

reasons! {
    /// Why `rpc` dropped a message.
    pub enum RpcDrop {
        /// Neither call nor reply.
        Junk => "rpc: neither call nor reply",
        /// A record that breaks a limit, or that ended with its connection.
        Broken => "rpc: broken record",
        /// The connection is over.
        Gone => "rpc: connection over",
        /// The call is in progress.
        Duplicate => "rpc: duplicate of a call in progress",
        /// A reply to nothing that was asked, or too late.
        StrayReply => "rpc: reply that nobody waits for",
        /// From above: no primitive, or one that cannot be read.
        Malformed => "rpc: malformed request",
        /// The reply to a call that was sent to many went wrong: it stays unsaid.
        Unsaid => "rpc: refusal to a call to many",
        /// A datagram without a host as source.
        Source => "rpc: no host as source",
        /// As many calls are in progress as may be.
        Overload => "rpc: too many calls in progress",
        /// There is no room for the reply.
        Blocked => "rpc: reply blocked",
        /// No message cell was left.
        NoMem => "no memory",
    }
}

impl From<RpcDrop> for Drop {
    fn from(reason: RpcDrop) -> Self {
        Self(reason.name())
    }
}

/// What a stream is for. Calls go both ways in either role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Calls are taken; an idle connection is ended after [`Settings::server_idle_s`].
    Server,
    /// Calls are made; an idle connection is ended earlier.
    Client,
}

/// The module.
#[derive(Debug)]
pub struct Rpc {
    settings: Settings,
    /// Nothing of the peer is looked at before it is known.
    role: Option<Role>,
    transport: Option<Transport>,
    phase: Phase,
    marking: Marking,
    /// A whole record that there was no memory for.
    waiting: Option<Msg>,
    calls: Calls,
    /// Duplicates on this connection of calls in progress on another one: their replies are waited
    /// for, because this peer does not ask again. With their xids.
    twins: Vec<(u32, EntryId)>,
    replies: Replies,
    /// Calls that go up together when what has come is looked through.
    up: MsgList,
    client: Option<Box<Client>>,
    /// Calls at the front of the write queue wait for replies to others: they hold up nothing else.
    calls_wait: bool,
    commons: Commons,
    /// Programs of this stream alone, whose calls somebody above it answers.
    offers: Vec<Offer>,
    /// What is the same in all calls of a connection.
    template: Template,
    local: Option<SocketAddr>,
    /// When something was last said. Nanoseconds.
    active: u64,
    /// Typical octets of a reply: 1/8 of each new one.
    reply_octets: usize,
    /// Calls go up in batches.
    in_batches: bool,
    /// Procedures that were called lately, each at its number's place.
    resolved: [Option<Resolved>; RESOLVED],
    /// The module is leaving as soon as the calls in progress are answered.
    leaving: bool,
    /// What the head is told when they are.
    farewell: Option<Msg>,
}

/// What is known of a procedure that somebody answers.
#[derive(Clone, Copy, Debug)]
struct Resolved {
    /// Program, version, procedure.
    numbers: [u32; 3],
    /// Of the registry: what is known holds as long as it is the same.
    edition: u32,
    /// Where its calls are counted.
    counted: u32,
    /// Its calls are not remembered.
    idempotent: bool,
}

/// Procedures of a connection that are found without a look-up: reads and writes in turn, and
/// those in between.
const RESOLVED: usize = 4;

impl Rpc {
    /// A module that shares programs and cache with the other streams of its stack. Without a role
    /// an ioctl gives one.
    pub fn new(role: Option<Role>, commons: Commons) -> Self {
        let settings = Settings::default();
        Self {
            settings,
            role,
            transport: None,
            phase: Phase::Asking,
            marking: Marking::new(settings.limits()),
            waiting: None,
            calls: Calls::new(),
            twins: Vec::new(),
            replies: Replies::new(),
            up: MsgList::new(),
            client: None,
            calls_wait: false,
            commons,
            offers: Vec::new(),
            template: Template::default(),
            local: None,
            active: 0,
            reply_octets: 0,
            in_batches: false,
            resolved: [None; RESOLVED],
            leaving: false,
            farewell: None,
        }
    }
}
