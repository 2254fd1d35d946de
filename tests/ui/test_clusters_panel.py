"""The Clusters section, and a cluster's tab.

The platform is real and so are the clusters that it is asked to register; no agent runs here. What a cluster with an
agent shows is answered by the test in the platform's place, and said so where it is.
"""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from lab_in_browser import Lab, Shoot
from platform_through_lab import call, execute, shown
from playwright.sync_api import Locator, Page, expect

ALONE = "Register a Kubernetes cluster to run them there."
CLIPBOARD = "navigator.clipboard.readText()"


def row(page: Page, name: str) -> Locator:
    rows = page.locator('.jp-PerijoveList-grid[aria-label="Clusters"] .jp-PerijoveList-row')
    return rows.filter(has=page.get_by_text(name, exact=True))


def press(page: Page, label: str) -> None:
    """A button of the dialog in front."""
    page.locator(".jp-Dialog-footer").get_by_role("button", name=label, exact=True).click()


def open_section(page: Page) -> None:
    execute(page, "perijove:open-panel", section="perijove-clusters")


@pytest.fixture
def cluster(page: Page, cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster, in the list."""
    open_section(page)
    expect(row(page, "gpu-1")).to_contain_text("Not connected yet")
    return cluster


def test_a_laptop_has_its_machine_and_one_sentence(page: Page, no_clusters: None, shoot: Shoot) -> None:
    open_section(page)
    expect(row(page, "local")).to_contain_text("Connected")
    expect(row(page, "local")).to_contain_text("CPU")
    expect(page.locator("#perijove-clusters")).to_contain_text(ALONE)
    shoot(page, "clusters-alone")
    row(page, "local").dblclick()
    detail = shown(page, ".jp-PerijoveCluster")
    expect(detail).to_contain_text("Memory")
    expect(detail.get_by_role("button")).to_have_count(0)


def test_a_cluster_is_registered_and_its_token_shown_once(
    page: Page, lab: Lab, no_clusters: None, shoot: Shoot
) -> None:
    open_section(page)
    page.locator("#perijove-clusters").get_by_role("button", name="Register a cluster…").click()
    dialog = page.locator(".jp-Dialog")
    dialog.get_by_label("Name").fill("Not A Label")
    press(page, "Register")
    expect(dialog.locator(".jp-PerijoveField-error")).to_contain_text("letter or digit")
    shoot(page, "cluster-register")
    dialog.get_by_label("Name").fill("gpu-2")
    press(page, "Register")

    expect(dialog).to_contain_text("Its token is shown only now")
    expect(dialog).to_contain_text("helm install perijove-agent deploy/charts/perijove-agent")
    dialog.get_by_role("button", name="Copy the token").click()
    token = page.evaluate(CLIPBOARD)
    assert re.fullmatch(r"pjreg-\S{60,}", token)
    dialog.get_by_role("button", name="Copy the command", exact=True).focus()
    page.keyboard.press("Enter")
    command = page.evaluate(CLIPBOARD)
    assert "--set registration.existingSecret.name=perijove-registration" in command
    assert token not in command
    page.keyboard.press("Escape")
    shoot(page, "cluster-token")
    press(page, "Done")

    detail = shown(page, ".jp-PerijoveCluster")
    expect(detail.get_by_role("heading", level=1)).to_have_text("gpu-2")
    expect(detail).to_contain_text("waiting for its agent")
    expect(detail).to_contain_text(f"{token[:15]}…{token[-4:]}, valid until")
    expect(row(page, "gpu-2")).to_contain_text("Not connected yet")
    expect(page.locator("#perijove-clusters")).not_to_contain_text(ALONE)
    assert token not in page.content()
    shoot(page, "cluster-registered")


def test_a_token_is_rotated_the_access_revoked_and_the_cluster_deleted(
    page: Page, lab: Lab, cluster: dict[str, Any]
) -> None:
    row(page, "gpu-1").dblclick()
    detail = shown(page, ".jp-PerijoveCluster")
    detail.get_by_role("button", name="Copy the kubeconfig command").click()
    page.wait_for_function(f"async () => (await {CLIPBOARD}) === 'perijove kubeconfig gpu-1'")

    detail.get_by_role("button", name="New registration token…").click()
    press(page, "Make a token")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("helm upgrade --install perijove-agent")
    expect(dialog).not_to_contain_text(cluster["registration_token"]["token"])
    press(page, "Done")

    detail.get_by_role("button", name="Revoke the agent’s access…").click()
    expect(dialog).to_contain_text("gpu-1")
    press(page, "Revoke")
    expect(row(page, "gpu-1")).to_contain_text("Revoked")
    expect(detail).to_contain_text("a new registration token lets an agent in again")
    expect(detail.get_by_role("button", name="Revoke the agent’s access…")).to_be_disabled()

    row(page, "gpu-1").click()
    page.locator('.jp-PerijoveList-grid[aria-label="Clusters"]').press("Delete")
    expect(dialog).to_contain_text("What runs in the cluster is not touched.")
    press(page, "Delete")
    expect(row(page, "gpu-1")).to_have_count(0)
    expect(page.locator(".jp-PerijoveCluster")).to_have_count(0)
    assert [found["id"] for found in call(lab, "/v1/clusters")["data"]] == ["local"]


def test_toolbar_and_context_menu_have_the_same_commands(page: Page, cluster: dict[str, Any]) -> None:
    toolbar = page.locator('.lm-AccordionPanel-title:has-text("Clusters")')
    rotate = toolbar.get_by_role("button", name="New registration token for the selected cluster")
    row(page, "local").click()
    expect(rotate).to_be_disabled()
    row(page, "gpu-1").click(button="right")
    menu = page.locator(".lm-Menu").first
    for label in ("Copy the kubeconfig command", "New registration token…", "Revoke the agent’s access…", "Delete…"):
        expect(menu.get_by_text(label, exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(rotate).to_be_enabled()


def test_a_change_from_elsewhere_is_shown_without_a_refresh(page: Page, lab: Lab, cluster: dict[str, Any]) -> None:
    row(page, "gpu-1").dblclick()
    detail = shown(page, ".jp-PerijoveCluster")
    # Once something has come by push, nothing is read again because the stream of events has just begun.
    call(lab, f"/v1/clusters/{cluster['id']}", {"description": "Rack 7, top"}, method="PATCH")
    expect(detail).to_contain_text("Rack 7, top")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    call(lab, f"/v1/clusters/{cluster['id']}", {"description": "Rack 8"}, method="PATCH")
    expect(detail).to_contain_text("Rack 8")
    quota = {"resources": {"cpu": "8", "memory": "32Gi"}}
    call(lab, f"/v1/clusters/{cluster['id']}/quotas/proj-local", quota, method="PUT")
    expect(detail).to_contain_text("cpu 8, memory 34.4 GB")
    assert not [url for url in asked if urlsplit(url).path.endswith("/v1/clusters")], "the list is not read again"
    call(lab, f"/v1/clusters/{cluster['id']}", method="DELETE")
    expect(page.locator("#perijove-clusters")).to_contain_text(ALONE)
    expect(shown(page, ".jp-PerijoveMessage").filter(has_text="This cluster has been deleted.")).to_be_visible()


CONNECTED = {
    "state": "connected",
    "state_reason": "the queue 'team' is stopped",
    "problems": ["the queue 'team' is stopped"],
    "kubernetes_version": "v1.34.4",
    "last_contact_at": 1_800_000_000,
    "reported_at": 1_800_000_000,
    "nodes": {"total": 3, "ready": 2},
    "capacity": {
        "cpus": 96,
        "cpus_free": 31.5,
        "memory_bytes": 412_000_000_000,
        "memory_free_bytes": 120_000_000_000,
        "gpus": 6,
        "gpus_free": 1,
        "disk_free_bytes": None,
    },
    "accelerators": [
        {"type": "NVIDIA-H100-80GB-HBM3", "resource": "nvidia.com/gpu", "total": 4, "used": 3, "free": 1},
        {"type": "tpu-v5-lite-podslice", "resource": "google.com/tpu", "total": 2, "used": 2, "free": 0},
    ],
    "agents": 2,
    "agent_versions": ["0.1.0", "0.2.0"],
    "component_versions": {"agent": "0.1.0, 0.2.0", "kueue": "v0.18.2"},
    "queues": [
        {
            "name": "perijove-proj-local",
            "project_id": "proj-local",
            "active": True,
            "reason": None,
            "pending": 2,
            "admitted": 3,
            "quota": {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "4"},
            "used": {"cpu": "48", "memory": "192Gi", "nvidia.com/gpu": "3"},
        },
        {
            "name": "team",
            "project_id": None,
            "active": False,
            "reason": "stopped by an administrator",
            "pending": 1,
            "admitted": 0,
            "quota": {"cpu": "8"},
            "used": {},
        },
    ],
}
NODES = [
    {
        "name": f"gpu-node-{number}",
        "ready": number != 2,
        "schedulable": number != 1,
        "kubelet_version": "v1.34.4",
        "accelerator": None if number == 2 else "NVIDIA-H100-80GB-HBM3",
        "conditions": [
            {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting"}
        ]
        if number == 2
        else [{"type": "Ready", "status": "True", "reason": None, "message": None}],
        "allocatable": {"cpu": "32", "memory": "131072000Ki"},
        "used": {"cpu": "21500m", "memory": "96Gi"},
    }
    for number in range(3)
]


def test_a_connected_cluster_shows_what_it_has(page: Page, lab: Lab, cluster: dict[str, Any], shoot: Shoot) -> None:
    """The answers about the cluster are the test's."""
    listed = call(lab, "/v1/clusters")
    changed = [found | (CONNECTED if found["id"] == cluster["id"] else {}) for found in listed["data"]]
    whole = call(lab, f"/v1/clusters/{cluster['id']}") | CONNECTED | {"node_list": NODES}
    page.route(re.compile(r"/v1/clusters\?"), lambda route: route.fulfill(json=listed | {"data": changed}))
    page.route(re.compile(rf"/v1/clusters/{cluster['id']}(\?|$)"), lambda route: route.fulfill(json=whole))
    execute(page, "perijove:refresh-clusters")
    expect(row(page, "gpu-1")).to_contain_text("Has problems")
    expect(row(page, "gpu-1")).to_contain_text("1 of 4 NVIDIA-H100-80GB-HBM3 free")
    row(page, "gpu-1").dblclick()
    detail = shown(page, ".jp-PerijoveCluster")
    for text in (
        "the queue 'team' is stopped",
        "v1.34.4",
        "3, of which 2 are ready",
        "3 of 4 used, 1 free",
        "64.5 of 96 used, 31.5 free",
        "nvidia.com/gpu 3 of 4",
        "stopped by an administrator",
        "2 connected, version 0.1.0, 0.2.0",
        "v0.18.2",
    ):
        expect(detail).to_contain_text(text)
    nodes = detail.get_by_role("row")
    expect(nodes.filter(has_text="gpu-node-1")).to_contain_text("Ready, cordoned")
    expect(nodes.filter(has_text="gpu-node-2")).to_contain_text("Not ready, Kubelet stopped posting")
    expect(nodes.filter(has_text="gpu-node-0")).to_contain_text("21.5 of 32")
    shoot(page, "cluster-connected")
