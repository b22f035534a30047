//! What correlation alone costs: records of messages made up as one or two proxies would cause them, no packets.
//!
//! usage: `cargo bench --bench correlator -- [--connections N] [--requests N] [--proxies 1|2] [--each N] [--equal]`
//!
//! N REQ clients without identities, in turns of up to 32 that ask at the same time, 8 REP workers. With `--each`, clients leave after so many
//! requests, and others come in their place. `--equal` makes all bodies equal. Without arguments, a table over 10 to 100,000 connections and 10,000 to
//! 10,000,000 requests, each row in a process of its own, for its peak memory. Time is what the process spent on a processor, where the system tells
//! that, else the clock's, the making of the records included; clients that stay connect before it is taken.
#![allow(missing_docs)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;
use zmtpscope::base::chunk::{PacketId, Position};
use zmtpscope::base::direction::Direction::{self, ClientToServer, ServerToClient};
use zmtpscope::base::endpoint::Endpoint;
use zmtpscope::base::hash::hash;
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
    /// Requests after which a client leaves; 0 if it stays.
    each: u64,
}

/// A connection, and how many messages it carried each way.
struct Line {
    conn: u32,
    ordinals: [u64; 2],
}

/// Who asks: the connection, the number that its ROUTER gave it, and its requests so far.
struct Client {
    line: Line,
    number: u32,
    asked: u64,
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
    conns: u32,
    packets: u64,
    counts: Counts,
    parts: Vec<Part>,
    heads: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        Self {
            correlator: Correlator::new(&Limits::default()),
            conns: 0,
            packets: 0,
            counts: Counts::default(),
            parts: Vec::new(),
            heads: Vec::new(),
        }
    }

    fn position(&mut self) -> Position {
        self.packets += 1;
        Position { packet: PacketId::new(0, self.packets), at: Timestamp(self.packets as i64 * PACE) }
    }

    fn connect(&mut self, port: u16, client: SocketType, server: SocketType) -> Line {
        let conn = self.conns;
        self.conns += 1;
        let at = self.position().at;
        let address = Ipv4Addr::from(0x0a00_0002 + conn / 20_000);
        let source = Endpoint::new(address, (40_000 + conn % 20_000) as u16);
        self.correlator.connection(conn, source, Endpoint::new(Ipv4Addr::LOCALHOST, port), at);
        for (direction, kind) in [(ClientToServer, client), (ServerToClient, server)] {
            let introduced = Some(self.position());
            let peer = Peer { socket_type: Some(kind), identity: Some([][..].into()), introduced, ..Peer::default() };
            self.correlator.peer(conn, direction, &peer);
        }
        Line { conn, ordinals: [0; 2] }
    }

    /// The `number`-th client of the first proxy.
    fn client(&mut self, number: u32) -> Client {
        Client { line: self.connect(7000, SocketType::REQ, SocketType::ROUTER), number, asked: 0 }
    }

    fn send(&mut self, line: &mut Line, direction: Direction, envelope: &[&[u8]], body: &[u8]) {
        let position = self.position();
        self.parts.clear();
        self.heads.clear();
        for octets in envelope.iter().chain([&&[][..], &body]) {
            let start = self.heads.len();
            self.heads.extend_from_slice(octets);
            let head = start..self.heads.len();
            self.parts.push(Part { length: octets.len() as u64, missing: 0, hash: hash(octets), head });
        }
        let ordinal = &mut line.ordinals[usize::from(direction == ServerToClient)];
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
            is_compared: true,
        };
        *ordinal += 1;
        let counts = &mut self.counts;
        self.correlator.message(line.conn, self.packets, &message, &mut |path| counts.add(&path));
    }
}

/// The identity that a ROUTER of libzmq gives to its `number`-th peer.
fn identity(number: u32) -> [u8; 5] {
    let [a, b, c, d] = (0x006b_8b45_u32.wrapping_mul(256).wrapping_add(number)).to_be_bytes();
    [0, a, b, c, d]
}

impl Run {
    fn measure(&self) -> String {
        let before = peak_memory();
        let mut wire = Wire::new();
        let connecting = cpu_time();
        let mut workers: Vec<Line> =
            (0..WORKERS).map(|_| wire.connect(7002, SocketType::REP, SocketType::DEALER)).collect();
        let mut between = (self.proxies > 1).then(|| wire.connect(7001, SocketType::DEALER, SocketType::ROUTER));
        let mut clients: Vec<Client> = (0..self.connections).map(|number| wire.client(number)).collect();
        let connecting = (cpu_time() - connecting) / f64::from(wire.conns);
        let started = cpu_time();
        let turn = TURN.min(self.connections);
        let (mut done, mut next, mut numbers) = (0, 0, self.connections);
        let far = identity(0);
        while done < self.requests {
            let asking: Vec<(usize, [u8; 5], [u8; 8])> = (0..turn)
                .map(|at| {
                    let client = ((next + at) % self.connections) as usize;
                    let body = if self.equal { 0 } else { done + u64::from(at) };
                    (client, identity(clients[client].number), body.to_be_bytes())
                })
                .collect();
            for (client, _, body) in &asking {
                wire.send(&mut clients[*client].line, ClientToServer, &[], body);
            }
            for (at, (_, id, body)) in asking.iter().enumerate() {
                let worker = &mut workers[(next as usize + at) % WORKERS as usize];
                match &mut between {
                    Some(between) => {
                        wire.send(between, ClientToServer, &[id], body);
                        wire.send(worker, ServerToClient, &[&far, id], body);
                    }
                    None => wire.send(worker, ServerToClient, &[id], body),
                }
            }
            for (at, (_, id, body)) in asking.iter().enumerate() {
                let worker = &mut workers[(next as usize + at) % WORKERS as usize];
                match &mut between {
                    Some(between) => {
                        wire.send(worker, ClientToServer, &[&far, id], body);
                        wire.send(between, ServerToClient, &[id], body);
                    }
                    None => wire.send(worker, ClientToServer, &[id], body),
                }
            }
            for (client, _, body) in &asking {
                let client = &mut clients[*client];
                wire.send(&mut client.line, ServerToClient, &[], body);
                client.asked += 1;
                if client.asked == self.each {
                    let at = wire.position().at;
                    wire.correlator.ended(client.line.conn, at, false);
                    *client = wire.client(numbers);
                    numbers += 1;
                }
            }
            done += u64::from(turn);
            next = (next + turn) % self.connections;
        }
        let Wire { mut correlator, mut counts, .. } = wire;
        correlator.finish(&mut |path| counts.add(&path));
        let seconds = cpu_time() - started;
        let wanted = done * u64::from(2 * (self.proxies + 1));
        format!(
            "{:11} {:9} {:7} {:>5} {:>5}  {:9.3} {:11.0} {:12.0} {:13.0} {:9.1}   {:.4} {:.4}",
            self.connections,
            done,
            self.proxies,
            if self.equal { "yes" } else { "no" },
            if self.each > 0 { self.each.to_string() } else { "all".to_owned() },
            seconds,
            seconds * 1e9 / done as f64,
            wanted as f64 / seconds,
            connecting * 1e9,
            (peak_memory() - before) as f64 / 1024.0,
            counts.complete as f64 / done as f64,
            counts.hops as f64 / wanted as f64 * done as f64 / counts.paths.max(1) as f64,
        )
    }
}

/// Seconds that this thread spent on a processor; where the system does not say, seconds since the first call.
fn cpu_time() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = statistics.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok());
    spent
        .filter(|spent| *spent > 0.0)
        .map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |spent| spent / 1e9)
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
            each: number(&arguments, "--each", 0),
        };
        println!("{}", run.measure());
        return;
    }
    println!(
        "connections  requests proxies equal  each    seconds  ns/request       hops/s  ns/connection  MiB peak   complete  hops found"
    );
    let program = std::env::current_exe().expect("the system knows which program this is");
    let run = |connections: u64, requests: u64, proxies: u64, each: u64| {
        let arguments =
            [("--connections", connections), ("--requests", requests), ("--proxies", proxies), ("--each", each)];
        let arguments = arguments.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
        if let Err(error) = Command::new(&program).args(arguments).status() {
            println!("{connections} connections, {requests} requests: {error}");
        }
    };
    for proxies in [1, 2] {
        for connections in [10, 1_000, 10_000, 100_000] {
            run(connections, 1_000_000, proxies, 0);
        }
    }
    for requests in [10_000, 100_000, 10_000_000] {
        run(1_000, requests, 1, 0);
    }
    for requests in [100_000, 1_000_000, 10_000_000] {
        run(1_000, requests, 1, 10);
    }
}
