//! A thousand changes of the streams that traffic runs through.

use crate::flows::{Flow, echo};
use crate::lab::{DEADLINE, LEFT, RIGHT, Router, addr};
use millstream::UdpSocket;
use millstream_core::{Module, NodeView, Perimeter, PlumbError, Rng, StreamId, Value};
use millstream_drivers::netns::Netns;
use millstream_modules::count::Count;
use millstream_modules::count2::Count2;
use millstream_modules::impair::Impair;
use millstream_modules::null::Null;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

const CHANGES: usize = 1000;

/// Modules that are added to a stream at most.
const ADDED_MAX: usize = 5;

/// Where the stack echoes, where it asks from, and where the kernel echoes.
const OURS: [&str; 2] = ["10.9.1.2:5007", "10.9.2.2:5008"];
const THEIRS: &str = "10.9.2.1:5009";

#[test]
fn a_thousand_random_changes_lose_double_and_reorder_nothing() {
    let test = "a_thousand_random_changes_lose_double_and_reorder_nothing";
    let Some(router) = Router::new(test, &[], 1500) else { return };
    let mut rng = Rng::new(millstream_rig::seed(1));
    let ours = OURS.map(|local| Arc::new(UdpSocket::bind(&router.stack, addr(local)).unwrap()));
    ours.iter().for_each(|socket| socket.set_read_timeout(Some(DEADLINE)));
    let theirs = kernel_socket(&router.right, THEIRS);
    let asking = kernel_socket(&router.left, &format!("{LEFT}:0"));
    let listener = router.right.run(|| TcpListener::bind((RIGHT, 5001))).unwrap().unwrap();
    let stream = router.left.run(|| TcpStream::connect((RIGHT, 5001))).unwrap().unwrap();
    let echoes = [echo(ours[0].clone()), echo(theirs)];
    let flows = [
        Flow::transfer(listener, stream),
        Flow::echoed(asking, addr(OURS[0])),
        Flow::echoed(ours[1].clone(), addr(THEIRS)),
    ];
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for made in 0..CHANGES {
        if made == CHANGES / 2 {
            // The first half runs without the books: they take another way through the core.
            router.stack.handle().call(|shard| shard.core().set_audit(true)).unwrap();
        }
        let before = flows.each_ref().map(Flow::seen);
        let place = rng.below(6) as usize;
        let one = match ours.get(place) {
            Some(socket) => push_or_pop(socket, &mut rng),
            None => {
                let (tap, mut rng) = (["tap1", "tap2"][place % 2], Rng::new(rng.next_u64()));
                let changed =
                    router.stack.handle().call(move |shard| change(shard.core(), tap, &mut rng));
                changed.unwrap().unwrap()
            }
        };
        *done.entry(one).or_default() += 1;
        if made >= CHANGES / 2 {
            let audit = router.stack.handle().call(|shard| shard.core().audit()).unwrap();
            audit.unwrap_or_else(|why| panic!("after {one}, change {made}: {why}"));
        }
        flows.iter().zip(before).for_each(|(flow, before)| flow.wait_beyond(before));
    }
    let [bytes, asked, told] = flows.map(Flow::finish);
    println!("{done:?} under {bytes} bytes, {asked} and {told} echoes");
    assert_eq!(done.len(), 6, "each kind of change was made");
    // Whoever echoes ends with an empty datagram.
    kernel_socket(&router.left, &format!("{LEFT}:0")).send_to(&[], OURS[0]).unwrap();
    kernel_socket(&router.right, &format!("{RIGHT}:0")).send_to(&[], THEIRS).unwrap();
    echoes.into_iter().for_each(|echo| echo.join().unwrap());
    let late = router.right.run(segments_out_of_order).unwrap();
    assert_eq!(late, 0, "segments that came before one in front of them, or without it");
}

fn kernel_socket(netns: &Netns, local: &str) -> Arc<std::net::UdpSocket> {
    let socket = netns.run(|| std::net::UdpSocket::bind(local)).unwrap().unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    Arc::new(socket)
}

/// A change at the top of a socket's stream; which.
fn push_or_pop(socket: &UdpSocket, rng: &mut Rng) -> &'static str {
    // The list ends with the multiplexor.
    let added = socket.stream().list().unwrap().len() - 1;
    if added == ADDED_MAX || added > 0 && rng.below(2) == 0 {
        socket.stream().pop().unwrap();
        return "pop";
    }
    let kind = *pick(&KINDS, rng);
    socket.stream().push(make(kind)).unwrap();
    "push"
}

/// A change somewhere in the stream of an interface, beside `arp`; which.
fn change(core: &mut Perimeter, name: &str, rng: &mut Rng) -> Result<&'static str, PlumbError> {
    let link = core.find(name).ok_or(PlumbError::NoStream)?;
    let chain = core.chain(link)?;
    let modules: Vec<&NodeView> = chain.iter().filter(|node| node.pos.is_some()).collect();
    let added: Vec<&NodeView> = modules.iter().filter(|m| m.name != "arp").copied().collect();
    for module in &added {
        assert!(module.stat.drops.is_empty(), "{}: {:?}", module.name, module.stat.drops);
    }
    let kind = *pick(&KINDS, rng);
    let what = rng.below(4);
    if added.is_empty() || what == 0 && added.len() < ADDED_MAX {
        let pos = rng.below(modules.len() as u64 + 1) as usize;
        core.insert(link, pos, make(kind))?;
        delay(core, link, pos)?;
        return Ok("insert");
    }
    let module = *pick(&added, rng);
    let pos = module.pos.unwrap_or_default();
    if what == 1 {
        core.remove(link, pos)?;
        return Ok("remove");
    }
    replace(core, link, module, kind)
}

/// Counts go on over a replacement, also when the successor refuses them; it then was none.
fn replace(
    core: &mut Perimeter,
    link: StreamId,
    old: &NodeView,
    kind: &'static str,
) -> Result<&'static str, PlumbError> {
    let pos = old.pos.unwrap_or_default();
    let counts = old.name.starts_with("count");
    let taken = !counts || kind == "count2" || kind == old.name;
    let ended = core.replace(link, pos, make(kind));
    let chain = core.chain(link)?;
    let new = chain.iter().find(|node| node.pos == Some(pos)).ok_or(PlumbError::NoStream)?;
    assert!(!counts || counted(new) == counted(old), "{old:?} became {new:?}");
    if taken {
        ended?;
        assert_eq!(new.name, kind);
        delay(core, link, pos)?;
        return Ok("replace");
    }
    assert!(matches!(ended, Err(PlumbError::NotTaken(_))), "{} by {kind}", old.name);
    assert_eq!(new.name, old.name);
    Ok("refused replace")
}

/// Messages and bytes that `count` or `count2` saw.
fn counted(node: &NodeView) -> Vec<&(&'static str, Value)> {
    node.fields.0.iter().filter(|(name, _)| name.ends_with("s")).collect()
}

/// Modules that keep all messages and their order.
const KINDS: [&str; 4] = ["null", "count", "count2", "impair"];

fn make(kind: &str) -> Box<dyn Module> {
    match kind {
        "null" => Box::new(Null),
        "count" => Box::new(Count::default()),
        "count2" => Box::new(Count2::default()),
        _ => Box::new(Impair::new()),
    }
}

/// Has an `impair` hold what comes for a while, so that it is not empty when it goes.
fn delay(core: &mut Perimeter, link: StreamId, pos: usize) -> Result<(), PlumbError> {
    let is_impair = |node: &NodeView| node.pos == Some(pos) && node.name == "impair";
    if core.chain(link)?.iter().any(is_impair) {
        core.set(link, pos, "delay", "300us")?;
    }
    Ok(())
}

fn pick<'a, T>(of: &'a [T], rng: &mut Rng) -> &'a T {
    &of[rng.below(of.len() as u64) as usize]
}

/// What the kernel's TCP says of this thread's namespace (TCPOFOQueue of netstat).
fn segments_out_of_order() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut rows = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let mut fields = names.split_whitespace().zip(values.split_whitespace());
    let found = fields.find(|(name, _)| *name == "TCPOFOQueue");
    found.and_then(|(_, value)| value.parse().ok()).unwrap()
}
