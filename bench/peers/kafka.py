# SPDX-License-Identifier: Apache-2.0
"""An Apache Kafka to measure against: on loopback, with a listener in the clear and, if wanted, one with TLS."""
import pathlib
import shutil
import socket
import subprocess
import tempfile

from peers.contest import cpu_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/kafka"


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def in_memory(needed):
    """A folder of the system's for files in memory, if there is room for so many bytes; else None, the disk."""
    memory = pathlib.Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > needed else None


class Kafka:
    """Started by `with`. Its log lies in memory if that has room: what the disk does differs from run to run."""

    def __init__(self, version, log_bytes, tls):
        self.version, self.with_tls = version, tls
        self.where = in_memory(log_bytes)
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=self.where)
        self.home = pathlib.Path(self.folder.name)
        plain, tls_port, controller = free_ports(3)
        self.brokers = f"127.0.0.1:{plain}"
        self.tls_brokers = f"127.0.0.1:{tls_port}"
        self.settings = {"log.segment.delete.delay.ms": "1000"}
        if tls:
            self.settings |= self.tls_settings(plain, tls_port, controller)
        self.port = plain

    def tls_settings(self, plain, tls_port, controller):
        key, certificate, store = self.home / "key.pem", self.home / "certificate.pem", self.home / "store.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        store.write_text(key.read_text() + certificate.read_text(), encoding="utf-8")
        return {
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls_port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls_port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": str(store),
        }

    def client_tls(self):
        """What a client needs to talk to the TLS listener, by the names that ours and librdkafka share."""
        return [f"bootstrap.servers={self.tls_brokers}", "security.protocol=SSL",
                f"ssl.ca.location={self.home / 'certificate.pem'}"]

    def __enter__(self):
        overrides = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        subprocess.run([SCRIPT, "start", self.version, "--port", str(self.port), "--dir", self.home / "kafka", *overrides],
                       stdout=subprocess.DEVNULL, check=True, timeout=600)
        runner = (self.home / "kafka/server.pid").read_text().strip()  # it starts java and waits for it
        self.pid = int(pathlib.Path(f"/proc/{runner}/task/{runner}/children").read_text().split()[0])
        return self

    def cpu(self):
        """Seconds that the broker has used so far."""
        return cpu_of(self.pid)

    def __exit__(self, *_):
        subprocess.run([SCRIPT, "stop", "--dir", self.home / "kafka"], check=False, timeout=60)
        self.folder.cleanup()
