"""Request/reply topologies of real libzmq peers on loopback, described as data and run for a bounded time.

A Topology is clients, proxies and workers joined by named ports; `run` starts every proxy, and the clients and the workers
together, in processes of their own and returns what the applications sent and received. Every request carries its own token of
16 hex digits: a request's frames are `TOKEN?...`, the reply's `TOKEN!...`, so that captures can be compared with the log.
"""
import ctypes
import random
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import zmq

from stage import Stage, free_ports

TICK_MS = 50  # how often an idle worker looks whether it should end
PATIENCE_MS = 15000  # how long a client waits for a reply


@dataclass
class Proxy:
    """zmq_proxy between a ROUTER that binds `front` or connects to its clients, and a DEALER that binds or connects `back`."""

    name: str
    front: str = ""
    back_bind: Sequence[str] = ()
    back_connect: Sequence[str] = ()
    front_connect: Sequence[str] = ()
    srand: Optional[int] = None  # as an application that seeds the C library; else every process hands out the same ids


@dataclass
class Worker:
    name: str
    connect: Sequence[str] = ()
    bind: str = ""
    kind: str = "REP"  # or ROUTER: an application that keeps the envelope itself
    service: Tuple[float, float] = (0.0, 0.0)  # seconds, uniform
    identity: bytes = b""


@dataclass
class Client:
    name: str
    connect: Sequence[str] = ()
    bind: str = ""
    kind: str = "REQ"  # or DEALER: in lockstep, with the delimiter
    requests: int = 10
    identity: bytes = b""
    think: Tuple[float, float] = (0.0, 0.0)
    size: Tuple[int, int] = (32, 32)  # bytes of each body frame, uniform
    reply_size: Optional[Tuple[int, int]] = None
    parts: int = 1
    start: float = 0.0  # seconds after the common start at which it connects
    settle: float = 0.0  # seconds between connecting and the first request


@dataclass
class Topology:
    clients: List[Client]
    workers: List[Worker]
    proxies: List[Proxy] = field(default_factory=list)
    host: str = "127.0.0.1"
    connect_first: bool = False  # every client connects, then all start at one instant
    description: str = ""

    def port_names(self) -> List[str]:
        names = [p.front for p in self.proxies] + [b for p in self.proxies for b in p.back_bind]
        names += [peer.bind for peer in (*self.workers, *self.clients)]
        return sorted({name for name in names if name})


@dataclass
class Addresses:
    """Named ports -> endpoints."""

    host: str
    ports: Dict[str, int]
    transport: str = "tcp"

    def at(self, name: str) -> str:
        """`ip:port`, as captures write it"""
        return f"[{self.host}]:{self.ports[name]}" if ":" in self.host else f"{self.host}:{self.ports[name]}"

    def url(self, name: str) -> str:
        return f"{self.transport}://{self.at(name)}" + ("/zmq" if self.transport == "ws" else "")

    def all(self) -> Dict[str, str]:
        return {name: self.at(name) for name in self.ports}


def open_socket(context, kind, addresses, identity=b""):
    made = context.socket(getattr(zmq, kind))
    made.linger = 0
    made.ipv6 = ":" in addresses.host
    if identity:
        made.setsockopt(zmq.ROUTING_ID, identity)
    return made


def proxy_body(cue, proxy, addresses):
    """An actor: one zmq_proxy until told to stop."""
    if proxy.srand is not None:
        ctypes.CDLL(None).srand(proxy.srand)
    context = zmq.Context()
    front = open_socket(context, "ROUTER", addresses)
    back = open_socket(context, "DEALER", addresses)
    if proxy.front:
        front.bind(addresses.url(proxy.front))
    for name in proxy.front_connect:
        front.connect(addresses.url(name))
    for name in proxy.back_bind:
        back.bind(addresses.url(name))
    for name in proxy.back_connect:
        back.connect(addresses.url(name))

    def pump():
        try:
            zmq.proxy(front, back)
        except zmq.ContextTerminated:
            pass
        front.close()
        back.close()

    thread = threading.Thread(target=pump)
    thread.start()
    cue.ready()
    cue.stopping.wait()
    context.term()
    thread.join()


def serve(cue, made, worker, seed, log):
    """Answer each request with its token until told to stop."""
    chance = random.Random(f"{seed}/{worker.name}")
    while not cue.stopping.is_set():
        if not made.poll(TICK_MS):
            continue
        frames = made.recv_multipart()
        envelope = frames[: frames.index(b"") + 1] if worker.kind == "ROUTER" else []
        body = frames[len(envelope):]
        token, wanted = body[0][:16].decode(), int(body[0][17:25])
        if worker.service[1]:
            time.sleep(chance.uniform(*worker.service))
        made.send_multipart(envelope + [text_of(token, "!", wanted)] * len(body))
        log.append((token, worker.name))
    made.close()


def workers_body(cue, workers, addresses, seed):
    """An actor: all workers, a thread each. Its log: (token, worker)."""
    context, log, threads = zmq.Context(), [], []
    for worker in workers:
        made = open_socket(context, worker.kind, addresses, worker.identity)
        if worker.bind:
            made.bind(addresses.url(worker.bind))
        for name in worker.connect:
            made.connect(addresses.url(name))
        threads.append(threading.Thread(target=serve, args=(cue, made, worker, seed, log)))
    for thread in threads:
        thread.start()
    cue.ready()
    for thread in threads:
        thread.join()
    context.term()
    return log


def text_of(token: str, mark: str, size: int, wanted: int = 0) -> bytes:
    """One body frame: token, `?` or `!`, the size that the reply shall have, padding."""
    text = f"{token}{mark}{wanted:08d}" if mark == "?" else f"{token}{mark}"
    return text.ljust(size, ".").encode()


class Asker(threading.Thread):
    """One client: its requests one after another. `log` holds (token, client, sent_ns, received_ns or None)."""

    def __init__(self, client, addresses, context, seed, barrier):
        super().__init__(name=client.name, daemon=True)
        self.client, self.addresses, self.context, self.barrier = client, addresses, context, barrier
        self.chance = random.Random(f"{seed}/{client.name}")
        self.log = []

    def run(self):
        client = self.client
        if client.start:
            time.sleep(client.start)
        made = open_socket(self.context, client.kind, self.addresses, client.identity)
        made.rcvtimeo = PATIENCE_MS
        if client.bind:
            made.bind(self.addresses.url(client.bind))
        for name in client.connect:
            made.connect(self.addresses.url(name))
        if client.settle:
            time.sleep(client.settle)
        if self.barrier:
            self.barrier.wait(30)
        for _ in range(client.requests):
            if client.think[1]:
                time.sleep(self.chance.uniform(*client.think))
            if not self.ask(made):
                break
        made.close()

    def ask(self, made):
        client = self.client
        token = f"{self.chance.getrandbits(64):016x}"
        size = self.chance.randint(*client.size)
        wanted = self.chance.randint(*client.reply_size) if client.reply_size else size
        delimiter = [b""] if client.kind == "DEALER" else []
        entry = [token, client.name, time.time_ns(), None]
        self.log.append(entry)
        made.send_multipart(delimiter + [text_of(token, "?", size, wanted)] * client.parts)
        try:
            reply = made.recv_multipart()
        except zmq.Again:
            return False
        entry[3] = time.time_ns()
        if reply[len(delimiter)][:17].decode() != token + "!":
            raise ValueError(f"{client.name}: {reply!r} is no answer to {token}")
        return True


def clients_body(cue, clients, addresses, seed, connect_first):
    """An actor: all clients, a thread each, that starts when told and ends by itself."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4096)
    barrier = threading.Barrier(len(clients)) if connect_first else None
    askers = [Asker(c, addresses, context, seed, barrier) for c in clients]
    cue.ready()
    cue.wait_go(600)
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    context.term()
    return [entry for asker in askers for entry in asker.log]


def assemble(stage: Stage, topology: Topology, addresses: Addresses, seed: int):
    """Start everybody; (clients, the others in the order in which they should end)."""
    proxies = [stage.start(p.name, proxy_body, p, addresses) for p in topology.proxies]
    others = [stage.start("workers", workers_body, topology.workers, addresses, seed)]
    clients = stage.start("clients", clients_body, topology.clients, addresses, seed, topology.connect_first)
    return clients, others + proxies


def addresses_for(topology: Topology, ports: Sequence[int] = (), transport: str = "tcp") -> Addresses:
    """Endpoints for every named port: the given ones in the order of `port_names`, else free ones."""
    names = topology.port_names()
    if ports and len(ports) != len(names):
        raise ValueError(f"ports wanted: {len(names)} ({', '.join(names)})")
    return Addresses(topology.host, dict(zip(names, ports or free_ports(len(names), topology.host))), transport)


def play(topology: Topology, addresses: Addresses, seed: int = 1, before_clients: Callable[[], None] = lambda: None) -> dict:
    """Run a topology to its end; what the applications know of it. `before_clients` is called when every proxy and worker
    stands and no client has started."""
    with Stage() as stage:
        clients, others = assemble(stage, topology, addresses, seed)
        time.sleep(0.3)  # connections between proxies and workers come up by themselves
        before_clients()
        clients.tell("go")
        asked = clients.result(120)
        served = [actor.stop() for actor in others][0]
    return journal(topology, addresses, asked, served, seed)


def journal(topology, addresses, asked, served, seed) -> dict:
    """What the applications know, as plain data."""
    worker_of = dict(served)
    per_client = {c.name: {"sent": 0, "received": 0} for c in topology.clients}
    for _, client, _, received in asked:
        per_client[client]["sent"] += 1
        per_client[client]["received"] += received is not None
    return {
        "description": topology.description,
        "seed": seed,
        "ports": addresses.all(),
        "clients": len(topology.clients),
        "workers": len(topology.workers),
        "proxies": [asdict(p) for p in topology.proxies],
        "per_client": per_client,
        "asked": [{"token": t, "client": c, "sent_ts": s, "recv_ts": r, "worker": worker_of.get(t)} for t, c, s, r in asked],
    }
