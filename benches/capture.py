#!/usr/bin/env python3
"""Make a big capture of real libzmq traffic on loopback, for measuring.

usage: benches/capture.py OUT.pcap [--mtu 65536|1500] [--megabytes 250] [--bulk push|pub] [--clients 16] [--small] [--seed N]

About half of the bytes are PUSH/PULL (or PUB/SUB) bulk of 20 B to 64 kB messages, half are requests of REQ and DEALER clients
(as many of each; these with a window of requests) of 32 B to 16 kB through a proxy to 4 workers; with --clients 0 all is bulk. With
--small no bulk message is longer than 500 B and no request than 256 B, so that what is done for each frame counts. tcpdump counts what
the kernel dropped; if it dropped any, the run is repeated at half the speed. With an MTU below loopback's 65536 it runs in a network
namespace of its own whose `lo` has that MTU and no segmentation offload. Needs root, tcpdump, iproute2, pyzmq.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import time

import zmq

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))

from sniff import Sniffer  # noqa: E402
from stage import Stage, free_ports  # noqa: E402
from topology import Addresses, Proxy, proxy_body  # noqa: E402

LOOPBACK_MTU = 65536
PIECE = 1 << 16
WORKERS = 4
WINDOW = 8  # requests that a DEALER client has out
INSIDE = "ZMTPSCOPE_BENCH_NAMESPACE"  # set: we are in the namespace


def log_uniform(chance, low, high):
    return int(low * (high / low) ** chance.random())


class Pace:
    """Holds a sender to `rate` bytes a second."""

    def __init__(self, rate):
        self.rate, self.start, self.sent = rate, time.monotonic(), 0

    def spend(self, count):
        self.sent += count
        ahead = self.sent / self.rate - (time.monotonic() - self.start)
        if ahead > 0.005:
            time.sleep(ahead)


def bulk_sender(cue, url, kind, small, total, rate, seed):
    """PUSH or PUB until `total` bytes are out; (messages, bytes)."""
    chance, noise = random.Random(seed), os.urandom(PIECE)
    context = zmq.Context()
    out = context.socket(getattr(zmq, kind))
    # A PUSH waits for its PULL; a PUB would drop what does not fit.
    out.sndhwm = 0 if kind == "PUB" else 100
    out.bind(url)
    cue.ready()
    cue.wait_go()
    time.sleep(0.5)
    pace, count = Pace(rate), 0
    while pace.sent < total:
        # many small ones, but the bytes are in the large
        size = log_uniform(chance, 20, 500) if small or count % 4 else log_uniform(chance, 500, 65536)
        parts = [b"topic.%d" % (count % 5), noise[:size]] if count % 8 == 0 or kind == "PUB" else [noise[:size]]
        out.send_multipart(parts)
        pace.spend(sum(map(len, parts)))
        count += 1
    time.sleep(0.5)
    out.close(5000)
    context.term()
    return count, pace.sent


def bulk_receiver(cue, url, kind):
    context = zmq.Context()
    inlet = context.socket(getattr(zmq, kind))
    if kind == "SUB":
        inlet.rcvhwm = 0
        inlet.subscribe("")
    inlet.connect(url)
    cue.ready()
    count = 0
    while not cue.stopping.is_set():
        if inlet.poll(100):
            inlet.recv_multipart()
            count += 1
    context.destroy(linger=0)
    return count


def answer(cue, url, largest, seed):
    """A REP worker: echoes the token, a body of another size."""
    chance, noise = random.Random(seed), os.urandom(PIECE)
    context = zmq.Context()
    made = context.socket(zmq.REP)
    made.connect(url)
    cue.ready()
    count = 0
    while not cue.stopping.is_set():
        if made.poll(100):
            made.send_multipart([made.recv_multipart()[0], noise[: log_uniform(chance, 32, largest)]])
            count += 1
    context.destroy(linger=0)
    return count


class Asker:
    """A client: REQ if its number is even, else a DEALER with a window of requests."""

    def __init__(self, context, url, number, largest, seed):
        self.number, self.largest, self.sent, self.out = number, largest, 0, 0
        self.chance, self.noise = random.Random(seed * 100 + number), os.urandom(PIECE)
        self.window = WINDOW if number % 2 else 1
        self.socket = context.socket(zmq.REQ if self.window == 1 else zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(url)

    def fill(self):
        """Ask until the window is full; the bytes that this moves over both hops."""
        moved = 0
        while self.out < self.window:
            body = self.noise[: log_uniform(self.chance, 32, self.largest)]
            delimiter = [] if self.window == 1 else [b""]
            self.socket.send_multipart([*delimiter, b"%02d-%08d" % (self.number, self.sent), body])
            self.sent, self.out, moved = self.sent + 1, self.out + 1, moved + 2 * len(body)
        return moved

    def receive(self):
        self.out -= 1
        return 2 * len(self.socket.recv_multipart()[-1])


def askers(cue, url, count, largest, total, rate, seed):
    """All clients, until `total` bytes (there and back, both hops) went by; (requests, bytes)."""
    context, poller = zmq.Context(), zmq.Poller()
    context.max_sockets = count + 8
    clients = {}
    for number in range(count):
        client = Asker(context, url, number, largest, seed)
        clients[client.socket] = client
        poller.register(client.socket, zmq.POLLIN)
    cue.ready()
    cue.wait_go()
    pace, waiting = Pace(rate), sum(client.window for client in clients.values())
    for client in clients.values():
        pace.spend(client.fill())
    while waiting:
        ready = poller.poll(20000)
        if not ready:
            raise RuntimeError("a request was not answered")
        for made, _ in ready:
            client = clients[made]
            pace.spend(client.receive())
            if pace.sent < total:
                pace.spend(client.fill())
            else:
                waiting -= 1
    context.destroy(linger=0)
    return sum(client.sent for client in clients.values()), pace.sent


def play(addresses, kind, clients, small, total, rate, seed):
    largest = 256 if small else 16384
    share = 0.5 if clients else 1
    sender, receiver = {"push": ("PUSH", "PULL"), "pub": ("PUB", "SUB")}[kind]
    with Stage() as stage:
        out = stage.start("bulk", bulk_sender, addresses.url("bulk"), sender, small, total * share, rate * share, seed)
        inlets = [stage.start(f"bulk-{n}", bulk_receiver, addresses.url("bulk"), receiver) for n in range(1 if kind == "pub" else 2)]
        proxy = stage.start("proxy", proxy_body, Proxy("proxy", "front", ["back"]), addresses)
        workers = [stage.start(f"worker-{n}", answer, addresses.url("back"), largest, seed * 10 + n) for n in range(WORKERS)]
        asking = stage.start("clients", askers, addresses.url("front"), clients, largest, total * (1 - share), rate * (1 - share), seed)
        time.sleep(0.5)
        out.tell("go")
        asking.tell("go")
        asked, bulk = asking.result(600), out.result(600)
        answered = sum(w.stop() for w in workers)
        received = sum(i.stop() for i in inlets)
        proxy.stop()
    return {"requests": asked[0], "answered": answered, "request_bytes": asked[1], "bulk_messages": bulk[0], "bulk_received": received, "bulk_bytes": bulk[1]}


def enter_namespace(mtu):
    """Run this program again where `lo` has the MTU and nothing is segmented later."""
    setup = f'ip link set lo up mtu {mtu} && ip link set lo gso_max_size {mtu} && ip link set lo gso_max_segs 1 && exec "$@"'
    os.environ[INSIDE] = str(mtu)
    os.execvp("unshare", ["unshare", "-n", "sh", "-c", setup, "sh", sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--mtu", type=int, default=LOOPBACK_MTU)
    parser.add_argument("--megabytes", type=float, default=250, help="at least this many of payload")
    parser.add_argument("--rate", type=float, default=60, help="MB a second to begin with")
    parser.add_argument("--bulk", choices=("push", "pub"), default="push")
    parser.add_argument("--clients", type=int, default=16, help="how many send requests")
    parser.add_argument("--small", action="store_true", help="many small messages instead of mixed sizes")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.mtu != LOOPBACK_MTU and os.environ.get(INSIDE) != str(args.mtu):
        enter_namespace(args.mtu)
    folder = os.path.dirname(os.path.abspath(args.out))
    if shutil.disk_usage(folder).free < args.megabytes * 4e6:
        sys.exit(f"{folder}: less than {args.megabytes * 4:.0f} MB free")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rate = args.rate
    while rate > 1:
        names = ("bulk", "front", "back")
        addresses = Addresses("127.0.0.1", dict(zip(names, free_ports(len(names)))))
        with Sniffer(args.out, addresses.ports.values(), buffer_kib=1 << 19) as sniffer:
            begun = time.monotonic()
            counts = play(addresses, args.bulk, args.clients, args.small, args.megabytes * 1e6, rate * 1e6, args.seed)
            took = time.monotonic() - begun
        print(f"{args.out}: {os.path.getsize(args.out) / 1e6:.0f} MB, {sniffer.captured} packets, dropped by kernel {sniffer.dropped}, {took:.0f} s")
        print("  " + ", ".join(f"{name} {count:.0f}" for name, count in counts.items()), flush=True)
        if sniffer.dropped == 0:
            return
        rate /= 2
        print(f"  again, at {rate:.0f} MB/s")
    sys.exit("the kernel drops packets at any speed")


if __name__ == "__main__":
    main()
