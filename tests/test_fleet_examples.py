# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of a fleet: what Compose, Kubernetes, NATS and btcore say of their files."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import nkeys  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]
from helpers.folders import ROOT
from helpers.needed import need
from servers.certificates import Authority, authority
from servers.nats_cluster import MISSING, PROGRAM

__all__ = ["authority"]

FLEET = ROOT / "docs" / "fleet"
PAGE = (ROOT / "docs" / "fleet.md").read_text()


def documents() -> list[dict[str, Any]]:
    """Return what kubernetes.yaml has."""
    return list(yaml.safe_load_all((FLEET / "kubernetes.yaml").read_text()))


def test_compose_takes_its_example() -> None:
    """The file is what the Compose specification's own schema accepts."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(FLEET / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", ["1.31", "1.36"])
@pytest.mark.parametrize("document", documents(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_kubernetes_takes_its_example(document: dict[str, Any], version: str) -> None:
    """Each object is what Kubernetes' own schema accepts, with no field that it does not know."""
    kubernetes_validate.validate(document, version, strict=True)


def containers() -> list[tuple[str, dict[str, Any]]]:
    """Return all containers of both examples that keep running, with the example that each is of."""
    services = yaml.safe_load((FLEET / "compose.yaml").read_text())["services"].values()
    pods = [one["spec"]["template"]["spec"] for one in documents() if one["kind"] == "StatefulSet"]
    assert all(pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"] for pod in pods)
    return [
        *(("compose", one) for one in services),
        *(("kubernetes", one) for pod in pods for one in pod["containers"]),
    ]


def test_nobody_may_more_than_needed() -> None:
    """No container writes into its image, has a capability, or can get one."""
    for kind, one in containers():
        if kind == "compose":
            assert one["read_only"], one
            assert (one["cap_drop"], one["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        else:
            rights = one["securityContext"]
            assert rights == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_example_has_the_rights_of_the_page() -> None:
    """The rights in nats.conf are those that docs/fleet.md explains, and that are tested."""
    block = PAGE.partition("```conf\n")[2].partition("```")[0]
    assert block.strip() in (FLEET / "nats.conf").read_text()


@pytest.mark.servers
def test_a_server_takes_its_example(tmp_path: Path, authority: Authority) -> None:
    """With keys and certificates put in, a NATS server finds nothing wrong with the file."""
    need(MISSING)
    text = (FLEET / "nats.conf").read_text()
    for number, name in enumerate(("HOUSE_1_KEY", "ARCHIVE_KEY", "OPERATOR_KEY")):
        key = nkeys.from_seed(nkeys.encode_seed(bytes([number] * 32), nkeys.PREFIX_BYTE_USER))
        text = text.replace(name, key.public_key.decode())
    certificate, key_file = authority.certify()
    for name, file in (("server.pem", certificate), ("server.key", key_file), ("ca.pem", authority.certificate)):
        text = text.replace(f"/run/secrets/{name}", str(file))
    (tmp_path / "nats.conf").write_text(text)
    command = [PROGRAM, "--config", str(tmp_path / "nats.conf"), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"NAME": "n1"})
    assert done.returncode == 0, done.stderr


def test_btcore_takes_its_example(tmp_path: Path) -> None:
    """With the files put in, `btcore check` finds no mistake in archive.toml."""
    text = (FLEET / "archive.toml").read_text().replace("/run/secrets", str(tmp_path))
    for name in set(re.findall(rf"{tmp_path}/([\w.]+)", text)):
        (tmp_path / name).write_text("secret")
    (tmp_path / "site.toml").write_text(text.replace("/var/lib/btcore", str(tmp_path)))
    command = [sys.executable, "-m", "btcore", "check", "--config", str(tmp_path / "site.toml"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not json.loads(done.stdout).get("problems")
