"""Actors: one process each, started, watched and ended by a Stage, so that nothing outlives a run.

An actor's body is a plain function `body(cue, ...)` that runs in its own process. It says `cue.ready()` once its sockets
stand, may `cue.wait_go()` for the common start, ends by itself or when `cue.stopping` is set, and returns its log, which
must be plain data. No ZeroMQ context may exist in the parent: the actors are forked.
"""
import ctypes
import multiprocessing
import random
import signal
import socket
import sys
import threading
import time
import traceback

PR_SET_PDEATHSIG = 1
FORK = multiprocessing.get_context("fork")


class Failure(RuntimeError):
    """An actor broke, or did not end in time."""


class Cue:
    """The actor's end of its wire to the stage."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._go = threading.Event()
        self.stopping = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            while True:
                word = self._pipe.recv()
                (self._go if word == "go" else self.stopping).set()
        except (EOFError, OSError):
            self.stopping.set()
            self._go.set()

    def ready(self):
        self._pipe.send(("ready", None))

    def wait_go(self, timeout=60.0):
        if not self._go.wait(timeout):
            raise Failure("nobody gave the start signal")


class Actor:
    """The stage's end: a process and the wire to it."""

    def __init__(self, name, body, args):
        self.name = name
        self._pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_run, args=(theirs, body, args), name=name, daemon=True)
        self._process.start()
        theirs.close()

    def _expect(self, word, timeout):
        try:
            if not self._pipe.poll(timeout):
                raise Failure(f"{self.name}: no '{word}' within {timeout:.0f} s")
            got, value = self._pipe.recv()
        except EOFError:
            raise Failure(f"{self.name}: died") from None
        if got != word:
            raise Failure(f"{self.name}: '{got}' instead of '{word}': {value}")
        return value

    def wait_ready(self, timeout=20.0):
        self._expect("ready", timeout)
        return self

    def tell(self, word):
        try:
            self._pipe.send(word)
        except OSError:
            pass

    def result(self, timeout=60.0):
        """The actor's log; waits until it has ended by itself."""
        value = self._expect("done", timeout)
        self._process.join(5)
        return value

    def stop(self, timeout=20.0):
        """Ask the actor to end; its log."""
        self.tell("stop")
        return self.result(timeout)

    def kill(self):
        if self._process.is_alive():
            self._process.kill()
        self._process.join(5)


def _run(pipe, body, args):
    try:
        end_with_parent()
        random.seed()
        value = body(Cue(pipe), *args)
    except BaseException:  # the parent must hear of it, whatever it is
        pipe.send(("error", traceback.format_exc()))
    else:
        pipe.send(("done", value))


def end_with_parent():
    """Where the kernel offers it: no actor outlives its stage, even if that was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Stage:
    """A context manager: whatever was started is gone when it ends."""

    def __init__(self):
        self._actors = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for actor in self._actors:
            actor.kill()

    def start(self, name, body, *args, ready=True):
        actor = Actor(name, body, args)
        self._actors.append(actor)
        return actor.wait_ready() if ready else actor


def free_ports(count, host="127.0.0.1", seed=None):
    """`count` TCP ports nobody listens on, below the range that the kernel gives to clients."""
    chooser = random.Random(seed if seed is not None else time.time_ns())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = []
    while len(ports) < count:
        port = chooser.randrange(10000, 30000)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
