#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS and SASL of the client against Apache Kafka: makes certificates and users, starts a broker with a listener of
each kind, and runs the test program given in PENSTOCK_SECURITY_TEST there.

  tests/integration/security_test.py [--version 4.1.0] [GOOGLETEST ARGUMENTS]
"""

import argparse
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


def run(*command: object, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{command[0]} {command[1] if len(command) > 1 else ''} failed:\n{done.stdout[-3000:]}")
    return done


def authority(home: Path, name: str) -> None:
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
        "-subj", f"/CN={name}", "-keyout", home / f"{name}.key", "-out", home / f"{name}.pem")


def certificate(home: Path, by: str, name: str, host: str = "", password: str = "") -> None:
    key, wish = home / f"{name}.key", home / f"{name}.csr"
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
        f"/CN={host or name}", "-keyout", key, "-out", wish)
    extensions = home / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\n" if host else "basicConstraints=CA:FALSE\n", encoding="utf-8")
    run("openssl", "x509", "-req", "-in", wish, "-CA", home / f"{by}.pem", "-CAkey", home / f"{by}.key",
        "-CAcreateserial", "-days", 2, "-extfile", extensions, "-out", home / f"{name}.pem")
    if password:
        run("openssl", "pkcs8", "-topk8", "-in", key, "-out", home / "encrypted", "-passout", "env:KEY_PASSWORD",
            env={**os.environ, "KEY_PASSWORD": password})
        (home / "encrypted").replace(key)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def broker_settings(home: Path, ports: list[int], controller: int, password: str) -> dict[str, str]:
    names = ["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"]
    keystore = home / "broker-store.pem"
    keystore.write_text((home / "broker.key").read_text() + (home / "broker.pem").read_text(), encoding="utf-8")
    values = {
        "listeners": ",".join([f"{n}://127.0.0.1:{p}" for n, p in zip(names, ports)] +
                              [f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join(f"{n}://localhost:{p}" for n, p in zip(names, ports)),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT," + ",".join(f"{n}:{n}" for n in names),
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(home / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": f"{SCRAM} required;",
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{SCRAM} required;",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{PLAIN} required user_user="{password}";',
        "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config":
            f'{OAUTH} required unsecuredLoginStringClaim_sub="broker";',
    }
    for mechanism in ("plain", "scram-sha-256", "scram-sha-512", "oauthbearer"):
        values[f"listener.name.sasl_ssl.{mechanism}.connections.max.reauth.ms"] = "2000"
    return values


class Kdc:
    """A Kerberos realm of one's own, on loopback, for as long as the test runs."""

    PROGRAMS = ("/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local")
    REALM = "PENSTOCK.TEST"

    def __init__(self, home: Path):
        port = free_ports(1)[0]
        config, kdc = home / "krb5.conf", home / "kdc.conf"
        config.write_text(f"""[libdefaults]
  default_realm = {self.REALM}
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {self.REALM} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  localhost = {self.REALM}
""", encoding="utf-8")
        kdc.write_text(f"""[realms]
  {self.REALM} = {{
    database_name = {home}/principal
    key_stash_file = {home}/stash
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
    max_life = 1h
  }}
""", encoding="utf-8")
        self.env = {"KRB5_CONFIG": str(config), "KRB5_KDC_PROFILE": str(kdc),
                    "JAVA_TOOL_OPTIONS": f"-Djava.security.krb5.conf={config}"}
        everything = {**os.environ, **self.env}
        run("/usr/sbin/kdb5_util", "create", "-s", "-P", secrets.token_hex(12), "-r", self.REALM, env=everything)
        for name, keytab in (("user", "user"), ("kafka/localhost", "kafka")):
            run("/usr/sbin/kadmin.local", "-r", self.REALM, "addprinc", "-randkey", name, env=everything)
            run("/usr/sbin/kadmin.local", "-r", self.REALM, "ktadd", "-k", home / f"{keytab}.keytab", name, env=everything)
        self.process = subprocess.Popen(["/usr/sbin/krb5kdc", "-n"], env=everything, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def broker_settings(self, home: Path) -> dict[str, str]:
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER,GSSAPI",
            "sasl.kerberos.service.name": "kafka",
            "listener.name.sasl_ssl.gssapi.connections.max.reauth.ms": "2000",
            "listener.name.sasl_ssl.gssapi.sasl.jaas.config":
                "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
                f'keyTab="{home}/kafka.keytab" principal="kafka/localhost@{self.REALM}";',
        }

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="4.1.0")
    options, rest = parser.parse_known_args()
    if not all(shutil.which(program) for program in ("java", "mvn", "openssl")):
        print("java, mvn or openssl is missing")
        return SKIPPED
    program = os.environ["PENSTOCK_SECURITY_TEST"]
    kafka = [sys.executable, str(ROOT / "scripts" / "kafka")]
    password = secrets.token_hex(12)
    with tempfile.TemporaryDirectory(prefix="penstock-security-") as directory:
        home = Path(directory)
        authority(home, "ca")
        authority(home, "other-ca")
        certificate(home, "ca", "broker", host="localhost")
        certificate(home, "ca", "client", password=password)
        certificate(home, "other-ca", "stranger")
        *ports, controller = free_ports(5)
        kdc = Kdc(home) if all(Path(program).exists() for program in Kdc.PROGRAMS) else None
        settings = broker_settings(home, ports, controller, password)
        if kdc:
            settings |= kdc.broker_settings(home)
            os.environ.update(kdc.env)
            os.environ["SECURITY_PRINCIPAL"] = f"user@{Kdc.REALM}"
        overrides = [word for key, value in settings.items()
                     for word in ("--set", f"{key}={value}")]
        try:
            run(*kafka, "start", options.version, "--port", ports[0], "--dir", home / "kafka", "--seconds", 900, *overrides)
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                run(*kafka, "tool", options.version, "kafka.admin.ConfigCommand", "--bootstrap-server",
                    f"127.0.0.1:{ports[0]}", "--alter", "--entity-type", "users", "--entity-name", "user",
                    "--add-config", f"{mechanism}=[iterations=8192,password={password}]")
            tested = subprocess.run([program, *rest], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, timeout=600, env={
                                        **os.environ, "SECURITY_DIR": str(home), "SECURITY_PASSWORD": password,
                                        "SECURITY_SSL": f"localhost:{ports[1]}",
                                        "SECURITY_SASL_SSL": f"localhost:{ports[2]}",
                                        "SECURITY_SASL_PLAINTEXT": f"localhost:{ports[3]}"})
            print(tested.stdout)
            if password in tested.stdout:
                print("the password is in the output")
                return 1
            return tested.returncode
        finally:
            log = home / "kafka" / "server.log"
            if os.environ.get("SHOW_KAFKA_LOG") and log.exists():
                print(log.read_text(errors="replace")[-6000:])
            subprocess.run([*kafka, "stop", "--dir", str(home / "kafka")], check=False)
            if kdc:
                kdc.stop()


if __name__ == "__main__":
    sys.exit(main())
