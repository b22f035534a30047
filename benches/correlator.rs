//! What correlation alone costs: records of messages made up as one or two proxies would cause them, no packets.
//!
//! usage: `cargo bench --bench correlator -- [--connections N] [--requests N] [--proxies 1|2] [--equal]`
//!
//! N REQ clients without identities, in turns of up to 32 that ask at the same time, 8 REP workers. `--equal` makes all bodies equal.
//! Without arguments, a table over 10 to 100,000 connections and 10,000 to 1,000,000 requests, each row in a process of its own, for its peak memory.
//! Time is that of the thread's wall clock, the making of the records included.
#![allow(missing_docs)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::base::direction::Direction::{self, ClientToServer, ServerToClient};
use zmtpscope::base::endpoint::Endpoint;
use zmtpscope::base::limits::Limits;
use zmtpscope::base::time::Timestamp;
use zmtpscope::correlate::correlator::Correlator;
use zmtpscope::correlate::path::{Path, Status};
use zmtpscope::zmtp::event::{Message, Part};
use zmtpscope::zmtp::peer::Peer;
use zmtpscope::zmtp::wire::socket_type::SocketType;

const WORKERS: u32 = 8;

/// Clients that ask at the same time.
const TURN: u32 = 32;

/// Nanoseconds from one message to the next.
const PACE: i64 = 5_000;

struct Run {
    connections: u32,
    requests: u64,
    proxies: u32,
    equal: bool,
}

#[derive(Default)]
struct Counts {
    paths: u64,
    complete: u64,
    hops: u64,
}

impl Counts {
    fn add(&mut self, path: &Path) {
        self.paths += 1;
        self.complete += u64::from(path.status == Status::Complete);
        self.hops += path.hops().count() as u64;
    }
}

/// The wire: messages as they are captured.
struct Wire {
    correlator: Correlator,
    ordinals: Vec<[u64; 2]>,
    packets: u64,
    counts: Counts,
    parts: Vec<Part>,
    heads: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        Self {
            correlator: Correlator::new(&Limits::default()),
            ordinals: Vec::new(),
            packets: 0,
            counts: Counts::default(),
            parts: Vec::new(),
            heads: Vec::new(),
        }
    }

    fn position(&mut self) -> Position {
        self.packets += 1;
        Position { packet: PacketId { file: 0, number: self.packets }, at: Timestamp(self.packets as i64 * PACE) }
    }

    fn connect(&mut self, port: u16, client: SocketType, server: SocketType) -> u32 {
        let conn = self.ordinals.len() as u32;
        self.ordinals.push([0; 2]);
        let at = self.position().at;
        let address = Ipv4Addr::from(0x0a00_0002 + conn / 20_000);
        let source = Endpoint::new(address, (40_000 + conn % 20_000) as u16);
        self.correlator.connection(conn, source, Endpoint::new(Ipv4Addr::LOCALHOST, port), at);
        for (direction, kind) in [(ClientToServer, client), (ServerToClient, server)] {
            let introduced = Some(self.position());
            let peer = Peer { socket_type: Some(kind), identity: Some([][..].into()), introduced, ..Peer::default() };
            self.correlator.peer(conn, direction, &peer);
        }
        conn
    }

    fn send(&mut self, conn: u32, direction: Direction, envelope: &[&[u8]], body: &[u8]) {
        let position = self.position();
        self.parts.clear();
        self.heads.clear();
        for octets in envelope.iter().chain([&&[][..], &body]) {
            let start = self.heads.len();
            self.heads.extend_from_slice(octets);
            let head = start..self.heads.len();
            self.parts.push(Part { length: octets.len() as u64, missing: 0, hash: xxh3_64(octets), head });
        }
        let ordinal = &mut self.ordinals[conn as usize][usize::from(direction == ServerToClient)];
        let message = Message {
            direction,
            ordinal: *ordinal,
            offset: *ordinal * 64,
            start: position,
            end: position,
            available: position,
            parts: &self.parts,
            part_count: self.parts.len() as u64,
            heads: &self.heads,
            encrypted: false,
        };
        *ordinal += 1;
        let counts = &mut self.counts;
        self.correlator.message(conn, self.packets, &message, &mut |path| counts.add(path));
    }
}

/// The identity that a ROUTER of libzmq gives to its `number`-th peer.
fn identity(number: u32) -> [u8; 5] {
    let [a, b, c, d] = (0x006b_8b45_u32.wrapping_mul(256).wrapping_add(number)).to_be_bytes();
    [0, a, b, c, d]
}

impl Run {
    fn measure(&self) -> String {
        let mut wire = Wire::new();
        let before = peak_memory();
        let started = Instant::now();
        let workers: Vec<u32> = (0..WORKERS).map(|_| wire.connect(7002, SocketType::REP, SocketType::DEALER)).collect();
        let between = (self.proxies > 1).then(|| wire.connect(7001, SocketType::DEALER, SocketType::ROUTER));
        let clients: Vec<u32> =
            (0..self.connections).map(|_| wire.connect(7000, SocketType::REQ, SocketType::ROUTER)).collect();
        let turn = TURN.min(self.connections);
        let (mut done, mut next) = (0, 0);
        let far = identity(0);
        while done < self.requests {
            let asking: Vec<(u32, [u8; 5], [u8; 8])> = (0..turn)
                .map(|at| {
                    let client = (next + at) % self.connections;
                    let body = if self.equal { 0 } else { done + u64::from(at) };
                    (client, identity(client), body.to_be_bytes())
                })
                .collect();
            for (client, _, body) in &asking {
                wire.send(clients[*client as usize], ClientToServer, &[], body);
            }
            for (at, (_, id, body)) in asking.iter().enumerate() {
                let worker = workers[(next as usize + at) % workers.len()];
                match between {
                    Some(between) => {
                        wire.send(between, ClientToServer, &[id], body);
                        wire.send(worker, ServerToClient, &[&far, id], body);
                    }
                    None => wire.send(worker, ServerToClient, &[id], body),
                }
            }
            for (at, (_, id, body)) in asking.iter().enumerate() {
                let worker = workers[(next as usize + at) % workers.len()];
                match between {
                    Some(between) => {
                        wire.send(worker, ClientToServer, &[&far, id], body);
                        wire.send(between, ServerToClient, &[id], body);
                    }
                    None => wire.send(worker, ClientToServer, &[id], body),
                }
            }
            for (client, _, body) in &asking {
                wire.send(clients[*client as usize], ServerToClient, &[], body);
            }
            done += u64::from(turn);
            next = (next + turn) % self.connections;
        }
        let Wire { mut correlator, mut counts, .. } = wire;
        correlator.finish(&mut |path| counts.add(path));
        let seconds = started.elapsed().as_secs_f64();
        let wanted = done * u64::from(2 * (self.proxies + 1));
        format!(
            "{:11} {:9} {:7} {:>5}  {:9.3} {:11.0} {:12.0} {:9.1}   {:.4} {:.4}",
            self.connections,
            done,
            self.proxies,
            if self.equal { "yes" } else { "no" },
            seconds,
            seconds * 1e9 / done as f64,
            wanted as f64 / seconds,
            (peak_memory() - before) as f64 / 1024.0,
            counts.complete as f64 / done as f64,
            counts.hops as f64 / wanted as f64 * done as f64 / counts.paths.max(1) as f64,
        )
    }
}

/// The most memory that this process ever held, in KiB; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn number(arguments: &[String], name: &str, default: u64) -> u64 {
    let at = arguments.iter().position(|argument| argument == name);
    at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // `cargo test --benches` asks whether it runs at all.
    let test = arguments.iter().any(|argument| argument == "--test");
    if !arguments.is_empty() {
        let run = Run {
            connections: number(&arguments, "--connections", 100).clamp(1, 1_000_000) as u32,
            requests: number(&arguments, "--requests", if test { 1000 } else { 100_000 }),
            proxies: number(&arguments, "--proxies", 1) as u32,
            equal: arguments.iter().any(|argument| argument == "--equal"),
        };
        println!("{}", run.measure());
        return;
    }
    println!(
        "connections  requests proxies equal    seconds  ns/request       hops/s  MiB peak   complete  hops found"
    );
    let program = std::env::current_exe().expect("the system knows which program this is");
    for (connections, requests) in
        [(10, 10_000), (10, 1_000_000), (1_000, 100_000), (1_000, 1_000_000), (10_000, 1_000_000), (100_000, 1_000_000)]
    {
        for proxies in [1, 2] {
            let arguments = [("--connections", connections), ("--requests", requests), ("--proxies", proxies)];
            let arguments = arguments.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
            if let Err(error) = Command::new(&program).args(arguments).status() {
                println!("{connections} connections, {requests} requests: {error}");
            }
        }
    }
}
