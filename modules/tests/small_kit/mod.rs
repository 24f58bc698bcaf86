//! A stream with modules between a head and a device that the test plays.
#![allow(dead_code, missing_docs, unreachable_pub)]

use millstream_core::{
    Caps, Config, Device, Errno, Module, NodeId, NodeView, Perimeter, Side, StreamId, Value,
};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};
use std::sync::{Arc, Mutex, MutexGuard};

/// A device that keeps what it is given and hands out what the test put in.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Ends>>);

#[derive(Default)]
pub struct Ends {
    pub to_read: MsgList,
    pub sent: MsgList,
    /// Frames that it takes before it is full; `None`: any number.
    pub room: Option<usize>,
}

impl Wire {
    pub fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }
}

impl Device for Wire {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut batch = self.ends().to_read.split_front(budget);
        let count = batch.len();
        out.append(&mut batch);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let mut ends = self.ends();
        let taken = ends.room.unwrap_or(batch.len()).min(batch.len());
        if let Some(room) = &mut ends.room {
            *room -= taken;
        }
        let mut taken = batch.split_front(taken);
        ends.sent.append(&mut taken);
        Ok(())
    }
}

pub struct Stack {
    pub p: Perimeter,
    pub stream: StreamId,
    pub driver: NodeId,
    pub wire: Wire,
}

pub const MS: u64 = 1_000_000;

impl Stack {
    pub fn new(seed: u64) -> Self {
        let config = PoolConfig {
            small: 20_000,
            frame: 20_000,
            large: 256,
            bare: 40_000,
            external: 0,
            reserve_256th: 1,
        };
        let mut p = Perimeter::new(Config { pool: Pool::new(config), seed, clock: None });
        let wire = Wire::default();
        let (stream, driver) = p.open_device("wire", Box::new(wire.clone()));
        Self { p, stream, driver, wire }
    }

    pub fn with(module: impl Module) -> Self {
        let mut stack = Self::new(1);
        stack.p.push(stack.stream, Box::new(module)).unwrap();
        stack
    }

    pub fn set(&mut self, params: &str) {
        for param in params.split_whitespace() {
            let (key, value) = param.split_once('=').unwrap();
            self.p.set(self.stream, 0, key, value).unwrap();
        }
    }

    pub fn set_error(&mut self, param: &str) -> String {
        let (key, value) = param.split_once('=').unwrap();
        self.p.set(self.stream, 0, key, value).unwrap_err().to_string()
    }

    pub fn msg(&mut self, bytes: &[u8]) -> Msg {
        self.p.pool().copy_from(64, bytes).unwrap()
    }

    /// Puts a message in at the head's side, not yet run.
    pub fn down(&mut self, msg: Msg) {
        self.p.putmsg(self.stream, msg).unwrap();
    }

    /// Puts a message in at the device's side, not yet run.
    pub fn up(&mut self, msg: Msg) {
        self.wire.ends().to_read.push(msg);
        assert_eq!(self.p.poll(self.driver, 1), 1);
    }

    pub fn turn(&mut self, now: u64) {
        while self.p.turn(now, 10_000).more {}
    }

    /// What has come out at the device.
    pub fn sent(&mut self) -> Vec<Msg> {
        std::mem::take(&mut self.wire.ends().sent).collect()
    }

    /// What has come out at the head, as data.
    pub fn received(&mut self) -> Vec<Msg> {
        let mut out = Vec::new();
        while let Ok(Some(got)) = self.p.getmsg(self.stream) {
            out.extend(got.control);
            out.extend(got.data);
        }
        out
    }

    pub fn module(&self) -> NodeView {
        self.p.chain(self.stream).unwrap().remove(1)
    }

    pub fn count(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Count(n) => n,
            Value::Text(text) | Value::Item(text) => panic!("{name} is the text {text}"),
        }
    }

    pub fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(text) | Value::Item(text) => text,
            Value::Count(n) => panic!("{name} is the count {n}"),
        }
    }

    pub fn drops(&self, reason: &str) -> u64 {
        let drops = self.module().stat.drops;
        drops.iter().find(|(why, _)| why.0 == reason).map_or(0, |(_, n)| *n)
    }

    /// Every cell of the pool is free again.
    pub fn assert_nothing_leaked(mut self) {
        drop(std::mem::take(&mut self.wire.ends().sent));
        let _ = self.received();
        let stats = self.p.pool().stats();
        let out = stats.small.out + stats.frame.out + stats.large.out + stats.bare.out;
        assert_eq!(out, 0, "cells are still out");
    }

    fn value(&self, name: &str) -> Value {
        let fields = self.module().fields.0;
        let found = fields.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no field {name} in {fields:?}")).1.clone()
    }
}

/// An Ethernet frame of IPv4's type with this payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    bytes.extend_from_slice(payload);
    bytes
}

/// The number that [`numbered`] put into a frame.
pub fn number(msg: &Msg) -> u32 {
    let mut bytes = [0; 4];
    assert_eq!(msg.copy_out(14, &mut bytes), 4);
    u32::from_be_bytes(bytes)
}

/// A frame of `len` bytes that carries a number.
pub fn numbered(n: u32, len: usize) -> Vec<u8> {
    let mut bytes = frame(&n.to_be_bytes());
    bytes.resize(len.max(18), 0);
    bytes
}

pub fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    msg.copy_out(0, &mut out);
    out
}

pub const UP: Side = Side::Read;
pub const DOWN: Side = Side::Write;
