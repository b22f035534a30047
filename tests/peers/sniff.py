"""tcpdump on loopback around a run, with its own count of what the kernel dropped."""
import re
import signal
import subprocess
import time

SNAPLEN = "0"  # whole packets


class Sniffer:
    """`with Sniffer(path, ports) as s: ...`; afterwards `s.captured` and `s.dropped`."""

    def __init__(self, path, ports, interface="lo", buffer_kib=65536):
        self.path, self.captured, self.dropped = path, None, None
        self.filter = " or ".join(f"tcp port {p}" for p in sorted(ports))
        self._command = ["tcpdump", "-i", interface, "-n", "-s", SNAPLEN, "-B", str(buffer_kib), "-Z", "root",
                         "--time-stamp-precision", "micro", "-w", path, self.filter]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        line = self._process.stderr.readline()
        while line and "listening on" not in line:
            line = self._process.stderr.readline()
        if not line:
            raise RuntimeError(f"tcpdump did not start: {' '.join(self._command)}")
        time.sleep(0.1)
        return self

    def __exit__(self, kind, *_):
        time.sleep(1.3 if kind is None else 0)  # the kernel hands over a block at the latest after a second
        self._process.send_signal(signal.SIGINT)
        try:
            _, said = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        counts = {what: int(n) for n, what in re.findall(r"(\d+) packets? (captured|dropped by kernel)", said)}
        self.captured, self.dropped = counts.get("captured"), counts.get("dropped by kernel")
