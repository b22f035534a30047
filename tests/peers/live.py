#!/usr/bin/env python3
"""The peers of a live test: a proxy, 4 clients and 3 workers that begin when told and say what they sent and received.

usage: live.py [--front PORT --back PORT] [--requests K] [--clients N] [--workers M] [--attach] [--now]

Prints one JSON line at once: {"ports": {"front": N, "back": N}, "filter": "a BPF filter for both"}. Then it waits for one line
on standard input, so that a sniffer can be started first, runs, and prints a second JSON line:
{"ports": .., "sent": total, "received": total, "clients": {name: {"sent": K, "received": K}}, "workers": {name: answered}}.
With --attach the proxy and the workers stand (and are connected) before the wait: the sniffer comes in mid-stream. With --now nothing
is waited for. If standard input ends without a line, nothing is run and the exit status is 1.
"""
import argparse
import collections
import json
import sys

from topology import Client, Proxy, Topology, Worker, addresses_for, play


def wait_for_word():
    if not sys.stdin.readline():
        sys.exit("live.py: nobody said go")


def say(value):
    print(json.dumps(value), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--front", type=int)
    parser.add_argument("--back", type=int)
    parser.add_argument("--requests", type=int, default=25)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--think", type=float, default=0.002, help="a client's longest pause between two requests, seconds")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--now", action="store_true")
    args = parser.parse_args()
    if (args.front is None) != (args.back is None):
        parser.error("--front and --back go together")
    topology = Topology(
        [Client(f"c{i}", ["front"], requests=args.requests, think=(0, args.think)) for i in range(args.clients)],
        [Worker(f"w{i}", ["back"]) for i in range(args.workers)],
        [Proxy("proxy", "front", ["back"])],
    )
    addresses = addresses_for(topology)
    if args.front is not None:
        addresses.ports.update(front=args.front, back=args.back)
    ports = addresses.ports
    say({"ports": ports, "filter": f"tcp port {ports['front']} or tcp port {ports['back']}"})
    wait = (lambda: None) if args.now else wait_for_word
    if not args.attach:
        wait()
    log = play(topology, addresses, before_clients=wait if args.attach else lambda: None)
    counts = log["per_client"]
    say({
        "ports": ports,
        "sent": sum(c["sent"] for c in counts.values()),
        "received": sum(c["received"] for c in counts.values()),
        "clients": counts,
        "workers": collections.Counter(a["worker"] for a in log["asked"] if a["worker"]),
    })


if __name__ == "__main__":
    main()
