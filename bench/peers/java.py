# SPDX-License-Identifier: Apache-2.0
"""Peers in Java: compiled with Maven, with what Maven Central has."""
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
# Flink looks into these packages of Java's own.
OPENED = [word for package in ("java.lang", "java.util") for word in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")]


def missing():
    """What is not installed, in a sentence, or nothing."""
    programs = [p for p in ("java", "javac", "mvn") if shutil.which(p) is None]
    return f"{' and '.join(programs)} missing: apt-get install default-jdk-headless maven" if programs else ""


def command(project, output, main_class, heap="4g"):
    """Compiles the Maven project bench/peers/PROJECT into a folder; returns the words that run a class of it."""
    classpath = output / "classpath"
    done = subprocess.run(["mvn", "-q", "-B", "-f", HERE / project / "pom.xml", f"-Doutput={output}", "compile",
                           "dependency:build-classpath", f"-Dmdep.outputFile={classpath}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"Maven could not build bench/peers/{project}:\n{done.stdout.strip()[-2000:]}")
    return ["java", *OPENED, f"-Xmx{heap}", "-cp", f"{output / 'classes'}:{classpath.read_text().strip()}", main_class]
