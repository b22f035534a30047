#!/usr/bin/env python3
"""Real applications, captured at work: are their requests joined to the replies that the applications' own ids say?

usage: applications.py {jupyter,ipyparallel,zerorpc} --capture FILE [--keep] [--zmtpscope PATH] [-v]

Runs several clients of the application at once, all on this host, captures what they say on the loopback interface with tcpdump
into FILE (with --keep an earlier FILE is judged instead), and compares the paths that zmtpscope finds in it with the ids in the
messages: a Jupyter or ipyparallel message names its request in `parent_header`, one of zerorpc in `response_to`. Printed is how many requests
have exactly the messages on their path that belong there, how many at least the last reply, how many have another request's, and of those
how many with a confidence of 0.9 or more. Exit status 0: none of those; 1: some; 2: the application cannot be run.

Needs the right to capture and the application: `pip install jupyter_client ipykernel`, `ipyparallel`, or `zerorpc`. The requests of each run are
others: this measures, and is no regression test.
"""
import argparse
import collections
import contextlib
import json
import multiprocessing
import random
import subprocess
import sys
import threading
import time
from typing import Dict, Iterator, List, NamedTuple, Optional

SPAWN = multiprocessing.get_context("spawn")  # gevent and ZeroMQ contexts do not survive a fork
SURE = 0.9
MARK = b"<IDS|MSG>".hex()  # what follows the envelope of Jupyter's messages
ZERORPC = "tcp://127.0.0.1:18222"


class Told(NamedTuple):
    """What a message says about itself."""

    own: str
    parent: Optional[str]
    kind: str


# --- what runs

def jupyter() -> None:
    """Two kernels, five clients: windows of requests on shell, input() on stdin, requests on control, heartbeats."""
    from jupyter_client import BlockingKernelClient, KernelManager

    kernels = [KernelManager(kernel_name="python3") for _ in range(2)]
    for kernel in kernels:
        kernel.start_kernel()
    clients = [threading.Thread(target=notebook, args=(BlockingKernelClient(), kernels[n % 2].connection_file, n)) for n in range(5)]
    finish(clients)
    for kernel in kernels:
        kernel.shutdown_kernel()


def notebook(client, connection_file: str, seed: int) -> None:
    """One client of a kernel."""
    chance = random.Random(seed)
    client.load_connection_file(connection_file)
    client.start_channels(hb=False)  # a kernel that is still starting has no heart
    client.wait_for_ready(timeout=60)
    client.hb_channel.start()
    client.hb_channel.unpause()
    asks = [
        lambda n: client.execute(f"import time; time.sleep({chance.random() / 50}); {n}"),
        lambda n: client.complete("pri", 3),
        lambda n: client.is_complete("for i in range(3):"),
        lambda n: client.kernel_info(),
        lambda n: client.history(hist_access_type="tail", n=2),
        lambda n: client.comm_info(),
    ]
    for _ in range(6):
        await_replies(client, {chance.choice(asks)(n) for n in range(chance.randint(1, 5))})
    asked = client.execute("input('name? ')", allow_stdin=True)
    client.get_stdin_msg(timeout=20)
    client.input("bob")
    await_replies(client, {asked})
    client.control_channel.send(client.session.msg("kernel_info_request"))
    client.get_control_msg(timeout=20)
    time.sleep(1.5)  # for some heartbeats
    client.stop_channels()


def await_replies(client, asked: set) -> None:
    """Reads replies on the shell channel until all are there."""
    while asked:
        asked.discard(client.get_shell_msg(timeout=30)["parent_header"].get("msg_id"))


def ipyparallel() -> None:
    """A controller with its schedulers, four engines, three clients: tasks to any engine, to each, and to a certain one."""
    import ipyparallel as parallel

    cluster = parallel.Cluster(n=4, controller_ip="127.0.0.1")
    cluster.start_cluster_sync()
    file = cluster.connect_client_sync()
    file.wait_for_engines(4, timeout=90)
    profile, cluster_id = file.profile, cluster.cluster_id
    file.close()
    finish([SPAWN.Process(target=tasks, args=(profile, cluster_id)) for _ in range(3)])
    cluster.stop_cluster_sync()


def tasks(profile: str, cluster_id: str) -> None:
    """One client of a cluster."""
    import ipyparallel as parallel

    client = parallel.Client(profile=profile, cluster_id=cluster_id, timeout=60)
    client.wait_for_engines(4, timeout=90)
    anyone, everyone = client.load_balanced_view(), client[:]
    results = [anyone.apply_async(doubled, n) for n in range(25)]
    results += [everyone.apply_async(doubled, n) for n in range(5)]
    results += [client[n % 4].apply_async(doubled, n) for n in range(12)]
    for result in results:
        result.get(timeout=60)
    client.queue_status()
    client.close()


def doubled(number: int) -> int:
    """What an engine is asked."""
    import random as chance
    import time as clock

    clock.sleep(chance.random() / 100)
    return 2 * number


def zerorpc() -> None:
    """One server, four clients with many calls at once: answered at once and later, errors, streams."""
    server = SPAWN.Process(target=zerorpc_server, daemon=True)
    server.start()
    time.sleep(2)
    finish([SPAWN.Process(target=zerorpc_client, args=(n,)) for n in range(4)])
    server.terminate()


class Service:
    """What zerorpc's server offers."""

    def echo(self, value):
        return value

    def slow(self, value):
        import gevent

        gevent.sleep(random.random() / 30)
        return value

    def fail(self):
        raise ValueError("as asked")

    def count(self, end):
        return iter(range(end))


def zerorpc_server() -> None:
    import zerorpc as rpc

    Service.count = rpc.stream(Service.count)
    server = rpc.Server(Service(), heartbeat=1)
    server.bind(ZERORPC)
    server.run()


def zerorpc_client(seed: int) -> None:
    import gevent
    import zerorpc as rpc

    chance = random.Random(seed)
    client = rpc.Client(ZERORPC, heartbeat=1, timeout=20)

    def call(number: int) -> None:
        gevent.sleep(chance.random() * 0.3)
        kind = chance.choice(["slow", "echo", "fail", "count"])
        if kind == "fail":
            with contextlib.suppress(rpc.RemoteError):
                client.fail()
        elif kind == "count":
            assert len(list(client.count(2 + number % 5))) == 2 + number % 5
        else:
            assert getattr(client, kind)(number) == number

    gevent.joinall([gevent.spawn(call, number) for number in range(40)], raise_error=True)
    client.close()


def finish(runners: list) -> None:
    """Starts them all and waits for their end."""
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()


@contextlib.contextmanager
def captured(file: str) -> Iterator[None]:
    """What is said over TCP on this host meanwhile goes into a file."""
    command = ["tcpdump", "-i", "lo", "-n", "-s", "0", "-B", "65536", "-Z", "root", "-w", file, "tcp"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tcpdump:
        line = tcpdump.stderr.readline()
        while line and "listening on" not in line:
            line = tcpdump.stderr.readline()
        yield
        time.sleep(1)
        tcpdump.terminate()
        said = tcpdump.stderr.read()
    if "0 packets dropped by kernel" not in said:
        sys.exit(f"applications.py: the capture is not whole: {said.strip()}")


# --- what they said

def jupyter_ids(parts: List[dict]) -> Optional[Told]:
    """Envelope, mark, signature, header, parent header, and more."""
    frames = [part["hex"] for part in parts]
    if MARK not in frames[:-4]:
        return None
    at = frames.index(MARK)
    header, parent = (json.loads(bytes.fromhex(frames[at + n])) for n in (2, 3))
    return Told(header["msg_id"], parent.get("msg_id"), header["msg_type"])


def zerorpc_ids(parts: List[dict]) -> Optional[Told]:
    """The last part is [header, name, arguments] in MessagePack."""
    import msgpack

    try:
        header, name, _ = msgpack.unpackb(bytes.fromhex(parts[-1]["hex"]), raw=True, strict_map_key=False)
    except ValueError:
        return None
    return Told(header[b"message_id"].hex(), header.get(b"response_to", b"").hex() or None, name.decode())


APPLICATIONS = {"jupyter": (jupyter, jupyter_ids), "ipyparallel": (ipyparallel, jupyter_ids), "zerorpc": (zerorpc, zerorpc_ids)}
# Questions in the other direction and calls for more of a stream: in the name of a request, but neither it nor its reply. An engine's
# registration is answered without naming it.
ASIDE = {"input_request", "input_reply", "_zpc_more", "_zpc_hb", "registration_request", "registration_reply"}


def rows(zmtpscope: str, view: str, capture: str, *options: str) -> List[dict]:
    """The rows of a view."""
    told = subprocess.run([zmtpscope, view, "-q", "--format", "jsonl", *options, capture], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def judge(zmtpscope: str, capture: str, ids, verbose: bool) -> int:
    """Compares paths with ids, prints what was found, gives how many paths are wrong and sure."""
    publishing = {"PUB", "SUB", "XPUB", "XSUB"}
    sockets = {row["conn"]: {peer["socket_type"] for peer in row["peers"].values()} for row in rows(zmtpscope, "connections", capture)}
    messages: Dict[str, Told] = {}
    for row in rows(zmtpscope, "messages", capture, "--payload", "hex", "--max-body", "65536"):
        told = None if sockets[row["conn"]] & publishing else ids(row["parts"])
        if told and told.kind not in ASIDE:
            messages[row["key"]] = told
    belongs = collections.defaultdict(set)
    for key, told in messages.items():
        belongs[told.parent or told.own].add(key)
    path_of = {hop["key"]: path for path in rows(zmtpscope, "paths", capture) for hop in path["request"] + path["reply"]}
    counts = collections.Counter()
    for request, expected in belongs.items():
        asked = [key for key in messages if key in expected and messages[key].parent is None]
        replies = [key for key in messages if key in expected and messages[key].parent]
        if not asked:
            continue
        path = path_of.get(asked[0], {"request": [], "reply": [], "confidence": 1.0, "path": None})
        found = {hop["key"] for hop in path["request"] + path["reply"]}
        counts["requests"] += 1
        counts["answered"] += bool(replies)
        counts["exact"] += found == expected or (not found and len(expected) == 1)
        counts["last reply"] += bool(replies) and replies[-1] in found
        wrong = any(key in messages and key not in expected for key in found)
        counts["wrong"] += wrong
        counts["sure and wrong"] += wrong and path["confidence"] >= SURE
        if verbose and found != expected:
            print(f"{messages[asked[0]].kind} {request}: path {path['path']} ({path['confidence']:.3f}) has {len(found & expected)} of "
                  f"{len(expected)} messages, {len(found - expected)} others")
    print(f"{counts['requests']} requests, {counts['answered']} answered: exact {counts['exact']}, with the last reply {counts['last reply']}; "
          f"with messages of others {counts['wrong']}, of which sure {counts['sure and wrong']}")
    return counts["sure and wrong"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("application", choices=APPLICATIONS)
    parser.add_argument("--capture", required=True)
    parser.add_argument("--keep", action="store_true", help="judge the capture that there is")
    parser.add_argument("--zmtpscope", default="target/release/zmtpscope")
    parser.add_argument("-v", action="store_true", help="every request whose path is not exact")
    args = parser.parse_args()
    run, ids = APPLICATIONS[args.application]
    if not args.keep:
        try:
            with captured(args.capture):
                run()
        except (ImportError, OSError) as error:
            print(f"applications.py: {args.application} cannot be run: {error}", file=sys.stderr)
            sys.exit(2)
    sys.exit(1 if judge(args.zmtpscope, args.capture, ids, args.v) else 0)


if __name__ == "__main__":
    main()
