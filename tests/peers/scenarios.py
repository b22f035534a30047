#!/usr/bin/env python3
"""Run one scenario of real libzmq peers on loopback and, if wanted, capture it and write its truth.

usage: scenarios.py NAME [--transport ws] [--port N ...] [--seed N] [--log LOG.json] [--capture FILE.pcap [--truth FILE.json]]
       scenarios.py --list

WebSocket needs a libzmq with the draft API and ws, which pyzmq's own is not: preload one.
Without --port free ports are chosen. Capturing needs tcpdump and the right to use it. Exit status 1: the peers failed, or the capture
does not agree with what they logged, or the kernel dropped packets.
"""
import argparse
import functools
import http.client
import http.server
import json
import random
import sys
import threading
import time

import zmq
import zmq.auth.thread

import truth
from sniff import Sniffer
from stage import Stage, free_ports
from topology import Addresses, Client, Proxy, Topology, Worker, addresses_for, play, text_of

HOST = "127.0.0.1"


# Request and reply, as topologies


def clients(count, to="front", **options):
    return [Client(f"c{i}", [to], **options) for i in range(count)]


def workers(count, to="back", **options):
    return [Worker(f"w{i}", [to], **options) for i in range(count)]


def reqrep() -> Topology:
    return Topology([Client("c0", ["server"], requests=5)], [Worker("w0", bind="server")], description="one REQ, one REP, five requests")


def proxied(announced=False, **options) -> Topology:
    asking = clients(4, requests=10, think=(0, 0.004), **options)
    for client in asking:
        client.identity = f"client-{client.name}".encode() if announced else b""
    how = "announced" if announced else "assigned"
    return Topology(asking, workers(3), [Proxy("p0", "front", ["back"])],
                    description=f"4 REQ clients with {how} identities, one zmq_proxy, 3 REP workers")


def saturated(count=16, **options) -> Topology:
    return Topology(clients(count, requests=10, settle=0.5, **options), workers(4), [Proxy("p0", "front", ["back"])], connect_first=True,
                    description=f"{count} REQ clients that start at one instant and never pause, one zmq_proxy, 4 REP workers")


def chain(count=2) -> Topology:
    proxies = [Proxy(f"p{i}", f"front{i}", back_connect=[f"front{i + 1}"]) for i in range(count - 1)]
    proxies.append(Proxy(f"p{count - 1}", f"front{count - 1}", ["back"]))
    return Topology(clients(3, "front0", requests=6), workers(2), proxies,
                    description=f"3 REQ clients, {count} proxies in a row, 2 REP workers; the proxies hand out the same ids")


def router_connects() -> Topology:
    fronts = [[f"client{proxy}{number}" for number in range(3)] for proxy in range(2)]
    asking = [Client(f"c-{front}", bind=front, requests=6, think=(0, 0.004)) for names in fronts for front in names]
    proxies = [Proxy(f"p{number}", "", [f"back{number}"], front_connect=names) for number, names in enumerate(fronts)]
    working = [Worker(f"w{number}", [f"back{number % 2}"]) for number in range(4)]
    return Topology(asking, working, proxies, description="6 REQ clients that bind; two zmq_proxy, of which the ROUTER connects to 3 of them each "
                    "and hands out the same ids; 2 REP workers behind each")


def large() -> Topology:
    asking = [Client("c0", ["server"], requests=1, size=(300000, 300000)), Client("c1", ["server"], requests=3)]
    return Topology(asking, [Worker("w0", bind="server")], description="300 kB out and 300 kB back, and a client with small requests")


def long_headers() -> Topology:
    # A request is 01 00 | 9-byte header + body | 9-byte header + body. With 1448 bytes a segment the second header lies across the
    # first two segments for bodies of 1429..1436 bytes; behind the proxy, where seven bytes of identity precede, for 1422..1429.
    return Topology(clients(3, requests=3, size=(1422, 1436), parts=2), workers(2), [Proxy("p0", "front", ["back"])],
                    description="two-part messages whose second part's 9-byte frame header lies across two segments of 1448 bytes")


# Other patterns: actors of their own


def publisher(cue, url):
    context = zmq.Context()
    out = context.socket(zmq.PUB)
    out.bind(url)
    cue.ready()
    cue.wait_go()
    time.sleep(0.4)
    sent = {}
    for number in range(40):
        topic = ("weather.oslo", "weather.rome", "stock.A", "heart")[number % 4]
        out.send_multipart([topic.encode(), f"value {number}".encode()])
        sent[topic] = sent.get(topic, 0) + 1
        time.sleep(0.005)
    cue.stopping.wait()
    context.destroy(linger=0)
    return sent


def subscriber(cue, url, topics, cancel_after):
    context = zmq.Context()
    inlet = context.socket(zmq.SUB)
    for topic in topics:
        inlet.subscribe(topic)
    inlet.connect(url)
    cue.ready()
    received = {}
    while not cue.stopping.is_set():
        if inlet.poll(50):
            topic = inlet.recv_multipart()[0].decode()
            received[topic] = received.get(topic, 0) + 1
        if cancel_after and sum(received.values()) == cancel_after:
            inlet.unsubscribe(topics[0])
            cancel_after = 0
    context.destroy(linger=0)
    return received


def pubsub(addresses, _seed):
    """one PUB, three SUB; one of them cancels a topic on the way"""
    wishes = {"all": ([""], 0), "weather": (["weather."], 0), "changing": (["stock.", "heart"], 6)}
    with Stage() as stage:
        out = stage.start("publisher", publisher, addresses.url("pub"))
        subscribers = {n: stage.start(n, subscriber, addresses.url("pub"), *w) for n, w in wishes.items()}
        out.tell("go")
        time.sleep(1.2)
        return {"subscribers": {n: {"topics": wishes[n][0], "received": a.stop()} for n, a in subscribers.items()}, "published": out.stop()}


def device(cue, *ends):
    """zmq_proxy between two sockets, each (type, url, whether it binds)"""
    context = zmq.Context()
    stands = threading.Event()

    def run():
        sockets = []
        for kind, url, binds in ends:
            socket = context.socket(kind)
            socket.linger = 0
            (socket.bind if binds else socket.connect)(url)
            sockets.append(socket)
        stands.set()
        try:
            zmq.proxy(*sockets)
        except zmq.ContextTerminated:
            for socket in sockets:
                socket.close()

    threading.Thread(target=run, daemon=True).start()
    stands.wait()
    cue.ready()
    cue.stopping.wait()
    context.term()


def source(cue, kind, url, name, topics, count, seed):
    """Sends `count` messages of two parts, a topic and a token that no other message has; the tokens."""
    context = zmq.Context()
    out = context.socket(kind)
    out.connect(url)
    cue.ready()
    cue.wait_go()
    time.sleep(0.5)
    chance, sent = random.Random(seed), []
    for number in range(count):
        sent.append(f"{name} {number:03}")
        out.send_multipart([topics[number % len(topics)].encode(), sent[-1].encode()])
        time.sleep(chance.uniform(0, 0.006))
    cue.stopping.wait()
    context.destroy(linger=0)
    return sent


def sink(cue, kind, url, topics):
    """The tokens of what it received."""
    context = zmq.Context()
    inlet = context.socket(kind)
    for topic in topics:
        inlet.subscribe(topic)
    inlet.connect(url)
    cue.ready()
    received = []
    while not cue.stopping.is_set():
        if inlet.poll(50):
            received.append(inlet.recv_multipart()[1].decode())
    context.destroy(linger=0)
    return received


def forwarded(addresses, seed, devices, sources, sinks):
    """`devices`: two ends each, (type, port name, binds); `sources`: (type, port name, topics, count); `sinks`: (type, port name, topics)"""
    with Stage() as stage:
        passing = [stage.start(f"d{i}", device, *((k, addresses.url(p), binds) for k, p, binds in ends)) for i, ends in enumerate(devices)]
        receiving = {f"s{i}": stage.start(f"s{i}", sink, k, addresses.url(p), topics) for i, (k, p, topics) in enumerate(sinks)}
        sending = {f"p{i}": stage.start(f"p{i}", source, k, addresses.url(p), f"p{i}", topics, count, seed + i)
                   for i, (k, p, topics, count) in enumerate(sources)}
        for actor in sending.values():
            actor.tell("go")
        time.sleep(1.5)
        received = {n: {"from": addresses.all()[sinks[int(n[1:])][1]], "tokens": a.stop()} for n, a in receiving.items()}
        sent = {n: a.stop() for n, a in sending.items()}
        for actor in passing:
            actor.stop()
        return {"devices": [[addresses.all()[port] for _, port, _ in ends] for ends in devices], "sent": sent, "received": received}


def forwarder_chain(addresses, seed):
    """2 PUB, two devices (XSUB and XPUB) in a row, the second connects to the first; SUBs with different topics at both"""
    devices = [((zmq.XSUB, "in", True), (zmq.XPUB, "middle", True)), ((zmq.XSUB, "middle", False), (zmq.XPUB, "out", True))]
    sources = [(zmq.PUB, "in", ["a", "b"], 16), (zmq.PUB, "in", ["b", "c"], 16)]
    return forwarded(addresses, seed, devices, sources, [(zmq.SUB, "middle", ["a"]), (zmq.SUB, "out", ["b"]), (zmq.SUB, "out", [""])])


def streamer(addresses, seed):
    """2 PUSH, a device (PULL and PUSH), 3 PULL: each task goes to one of them"""
    devices = [((zmq.PULL, "in", True), (zmq.PUSH, "out", True))]
    return forwarded(addresses, seed, devices, [(zmq.PUSH, "in", [""], 15)] * 2, [(zmq.PULL, "out", [])] * 3)


def guarded_server(cue, url, setup):
    """A REP server with its authenticator; how many requests it answered."""
    context = zmq.Context()
    guard = zmq.auth.thread.ThreadAuthenticator(context)
    guard.start()
    inlet = context.socket(zmq.REP)
    setup(guard, inlet)
    inlet.bind(url)
    cue.ready()
    answered = 0
    while not cue.stopping.is_set():
        if inlet.poll(50):
            inlet.send(text_of(inlet.recv()[:16].decode(), "!", 32))
            answered += 1
    inlet.close(0)
    guard.stop()
    context.destroy(linger=0)
    return answered


def guarded_client(cue, url, setup, requests, patience_ms, seed):
    context = zmq.Context()
    out = context.socket(zmq.REQ)
    out.linger, out.rcvtimeo, out.reconnect_ivl = 0, patience_ms, 250
    setup(out)
    out.connect(url)
    cue.ready()
    chance, log = random.Random(seed), []
    for _ in range(requests):
        token = f"{chance.getrandbits(64):016x}"
        log.append([token, "c0", time.time_ns(), None])
        out.send(text_of(token, "?", 32, 32))
        try:
            out.recv()
        except zmq.Again:
            break
        log[-1][3] = time.time_ns()
    context.destroy(linger=0)
    return log


def guarded(addresses, seed, server_setup, client_setup, requests=5, patience_ms=5000, visible=True):
    with Stage() as stage:
        server = stage.start("server", guarded_server, addresses.url("server"), server_setup)
        log = stage.start("client", guarded_client, addresses.url("server"), client_setup, requests, patience_ms, seed).result()
        answered = server.stop()
    received = sum(entry[3] is not None for entry in log)
    made = {"per_client": {"c0": {"sent": len(log), "received": received}}, "answered": answered}
    if visible:
        made["asked"] = [{"token": t, "client": c, "sent_ts": s, "recv_ts": r, "worker": "w0"} for t, c, s, r in log]
    return made


def plain_server(guard, inlet):
    guard.configure_plain(domain="*", passwords={"alice": "secret-of-alice"})
    inlet.plain_server = True


def plain_client(password, out):
    out.plain_username, out.plain_password = b"alice", password


def plain_ok(addresses, seed):
    """PLAIN, the right password"""
    return guarded(addresses, seed, plain_server, functools.partial(plain_client, b"secret-of-alice"))


def plain_refused(addresses, seed):
    """PLAIN, a wrong password: the request never leaves the client"""
    return guarded(addresses, seed, plain_server, functools.partial(plain_client, b"wrong"), requests=1, patience_ms=400, visible=False)


def curve(addresses, seed):
    """CURVE with any client allowed; the messages stay closed"""
    server_public, server_secret = zmq.curve_keypair()

    def server_setup(guard, inlet):
        guard.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
        inlet.curve_publickey, inlet.curve_secretkey, inlet.curve_server = server_public, server_secret, True

    def client_setup(out):
        out.curve_publickey, out.curve_secretkey = zmq.curve_keypair()
        out.curve_serverkey = server_public

    return guarded(addresses, seed, server_setup, client_setup, visible=False)


def web_server(cue, port):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = b"not a socket of ours\n" * 20
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((HOST, port), Quiet)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cue.ready()
    cue.stopping.wait()
    server.shutdown()
    server.server_close()


def not_zmtp(addresses, seed):
    """an HTTP exchange beside a REQ/REP connection"""
    topology = reqrep()
    with Stage() as stage:
        web = stage.start("web", web_server, addresses.ports["http"])
        browser = http.client.HTTPConnection(HOST, addresses.ports["http"], timeout=5)
        for path in ("/", "/again"):
            browser.request("GET", path)
            browser.getresponse().read()
        log = play(topology, addresses, seed)
        browser.close()
        web.stop()
    return log


TOPOLOGIES = {
    "reqrep": reqrep,
    "proxy-assigned": proxied,
    "proxy-announced": lambda: proxied(announced=True),
    "proxy-saturated": saturated,
    "proxy-equal-lengths": lambda: saturated(size=(40, 40), reply_size=(40, 40)),
    "proxy-multipart": lambda: proxied(parts=3, size=(25, 400)),
    "chain2": chain,
    "chain3": lambda: chain(3),
    "router-connects": router_connects,
    "large": large,
    "mtu1500-long-headers": long_headers,
}
OTHERS = {
    "pubsub": (pubsub, ["pub"]),
    "forwarder-chain": (forwarder_chain, ["in", "middle", "out"]),
    "streamer": (streamer, ["in", "out"]),
    "plain-ok": (plain_ok, ["server"]),
    "plain-refused": (plain_refused, ["server"]),
    "curve": (curve, ["server"]),
    "not-zmtp": (not_zmtp, ["http", "server"]),
}


def prepare(name, ports=(), transport="tcp"):
    """(addresses, a function of the seed that runs the scenario and returns the applications' log)"""
    if name in TOPOLOGIES:
        topology = TOPOLOGIES[name]()
        addresses = addresses_for(topology, ports, transport)
        return addresses, lambda seed: play(topology, addresses, seed)
    action, names = OTHERS[name]
    addresses = Addresses(HOST, dict(zip(names, ports or free_ports(len(names)))), transport)
    return addresses, lambda seed: {"description": action.__doc__, "ports": addresses.all(), **action(addresses, seed)}


def run(name, ports=(), seed=1, capture=None, transport="tcp"):
    """The log of a scenario, with tcpdump's own count if it was captured."""
    addresses, action = prepare(name, ports, transport)
    if not capture:
        return {"name": name, **action(seed)}
    with Sniffer(capture, addresses.ports.values()) as sniffer:
        log = action(seed)
    return {"name": name, **log, "filter": sniffer.filter, "tcpdump": {"captured": sniffer.captured, "dropped_by_kernel": sniffer.dropped}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=[*TOPOLOGIES, *OTHERS], metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--transport", choices=["tcp", "ws"], default="tcp")
    parser.add_argument("--port", type=int, action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", help="where the applications' log goes (default: standard output, if nothing is captured)")
    parser.add_argument("--capture")
    parser.add_argument("--truth")
    args = parser.parse_args()
    if args.list or not args.name:
        print("\n".join([*TOPOLOGIES, *OTHERS]))
        return
    log = run(args.name, args.port, args.seed, args.capture, args.transport)
    if args.log or not args.capture:
        with open(args.log or "/dev/stdout", "w") as out:
            json.dump(log, out, indent=1)
            out.write("\n")
    if args.truth:
        facts = truth.truth_of(args.capture, log)
        truth.write_truth(facts, args.truth)
        failed = [name for name, right in facts["checks"].items() if not right]
        if failed:
            sys.exit(f"{args.name}: checks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
