"""The files of deploy/ agree with the server, and with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from earwitness.cli import app as command_line
from earwitness.serving.app import router
from earwitness.serving.limits import MEGABYTE, Limits
from earwitness.serving.server import GRACE_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
INSTRUCTIONS = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "STOPSIGNAL"}
INSTRUCTIONS |= {"HEALTHCHECK", "ENTRYPOINT"}
ROUTES = {route.path for route in router.routes}


def kubernetes(kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (found,) = [document for document in documents if document["kind"] == kind]
    return found["spec"]


def options() -> set[str]:
    """Of `earwitness serve`."""
    shown = CliRunner().invoke(command_line, ["serve", "--help"], env={"COLUMNS": "200"}).output
    return set(re.findall(r"--[a-z-]+", shown))


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, the rest), continuation lines joined."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in lines]  # type: ignore[misc]


def test_every_option_in_the_files_is_one() -> None:
    files = [file for file in DEPLOY.iterdir() if file.name not in ("Dockerfile", "check.sh", "compose.yaml")]
    used = {option for file in files for option in re.findall(r"(?<!-)--[a-z][a-z-]+", file.read_text())}
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["earwitness"]["command"]
    used |= {word for word in compose if word.startswith("--")}
    used |= set(re.findall(r'"(--[a-z]+)"', dict(dockerfile())["ENTRYPOINT"]))
    kubectl = {"--from-literal", "--now"}
    assert used - kubectl and used - kubectl <= options()


def test_the_dockerfile_is_well_formed_and_copies_what_there_is() -> None:
    lines = dockerfile()
    assert lines[0][0] == "FROM" and {name for name, _ in lines} <= INSTRUCTIONS
    stages = [rest for name, rest in lines if name == "FROM"]
    assert len(stages) == 2 and stages[0].endswith(" AS build")
    for name, rest in lines:
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), rest
    after = [name for name, _ in lines]
    assert dict(lines)["USER"] == "10001" and after.index("USER") < after.index("ENTRYPOINT")
    assert dict(lines)["STOPSIGNAL"] == "SIGTERM"


def test_probes_ask_for_what_there_is() -> None:
    (container,) = kubernetes("Deployment")["template"]["spec"]["containers"]
    probes = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    assert {probe["path"] for probe in probes.values()} <= ROUTES
    (port,) = container["ports"]
    assert port["containerPort"] == 8000 and port["name"] == probes["livenessProbe"]["port"]
    assert "/readyz" in dict(dockerfile())["HEALTHCHECK"]


def test_nothing_is_ended_before_the_servers_own_grace_is_over() -> None:
    spec = kubernetes("Deployment")["template"]["spec"]
    before = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > GRACE_SECONDS + before
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["earwitness"]
    assert int(compose["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS
    unit = (DEPLOY / "earwitness.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > GRACE_SECONDS


def test_proxies_let_through_what_the_server_takes() -> None:
    nginx = int(re.search(r"client_max_body_size (\d+)m;", (DEPLOY / "nginx.conf").read_text())[1])
    caddy = int(re.search(r"max_size (\d+)MB", (DEPLOY / "Caddyfile").read_text())[1])
    most = Limits().upload_bytes
    assert nginx * MEGABYTE > most
    assert caddy * 10**6 > most  # Caddy's MB are 10^6 bytes


def test_containers_run_without_privileges() -> None:
    spec = kubernetes("Deployment")["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["earwitness"]
    assert compose["read_only"] and compose["cap_drop"] == ["ALL"]
    assert compose["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_takes_the_unit(tmp_path) -> None:
    unit = tmp_path / "earwitness.service"
    unit.write_text(
        (DEPLOY / "earwitness.service").read_text().replace("/opt/earwitness/bin/earwitness", "/bin/true")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30
    )
    about_it = [line for line in done.stderr.splitlines() if "earwitness.service" in line]
    assert not about_it, about_it


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_shell(script) -> None:
    assert subprocess.run(["sh", "-n", str(script)], timeout=10).returncode == 0
