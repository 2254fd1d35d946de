"""The authority of our own, the certificates that it signs, and kubeconfigs with them."""

import base64
import json
from pathlib import Path

from testbed.layout import ADDRESS, API_PORT, FIRST_SERVICE_ADDRESS, NODE, NODE_ADDRESS, PKI, STATE
from testbed.steps import run

DAYS = "365"
NAMES = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
]
SUBJECTS = {
    "apiserver": "/CN=kube-apiserver",
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "proxy": "/CN=system:kube-proxy",
    "front-proxy": "/CN=front-proxy-client",
}
ALTERNATIVES = {
    "apiserver": [*(f"DNS:{name}" for name in NAMES), f"IP:127.0.0.1,IP:{NODE_ADDRESS},IP:{FIRST_SERVICE_ADDRESS}"],
    "kubelet": [f"DNS:{NODE}", f"IP:{NODE_ADDRESS}"],
}
OF_PLATFORMS = ["DNS:localhost", f"IP:127.0.0.1,IP:{ADDRESS}"]
CLIENTS = ("admin", "controller-manager", "scheduler", "kubelet", "proxy")


def make_platforms() -> None:
    """Write the authority and the certificate of every platform, readable by root alone."""
    PKI.mkdir(mode=0o700, parents=True)
    _openssl("req", "-x509", *_new_key("ca"), "-out", "ca.crt", "-subj", "/CN=perijove-testbed", "-days", DAYS)
    _certificate("platform", "/CN=perijove-platform", OF_PLATFORMS)


def make_kubernetes() -> None:
    """Write the certificates and kubeconfigs of the test bed's Kubernetes, signed by the same authority."""
    _openssl("genrsa", "-out", "sa.key", "2048")
    _openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    for name, subject in SUBJECTS.items():
        _certificate(name, subject, ALTERNATIVES.get(name, [f"DNS:{name}"]))
    for name in CLIENTS:
        kubeconfig(name, STATE / f"{name}.kubeconfig")


def kubeconfig(name: str, path: Path) -> None:
    """Write a kubeconfig that has everything in itself, so that it can be copied."""

    def data(file: str) -> str:
        return base64.b64encode((PKI / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    server = f"https://{NODE_ADDRESS}:{API_PORT}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NODE, "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": name}}],
        "current-context": NODE,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))


def _certificate(name: str, subject: str, alternatives: list[str]) -> None:
    _openssl("req", *_new_key(name), "-out", f"{name}.csr", "-subj", subject)
    extensions = PKI / f"{name}.ext"
    extensions.write_text(f"subjectAltName={','.join(alternatives)}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
             "-out", f"{name}.crt", "-days", DAYS, "-extfile", extensions)  # fmt: skip


def _new_key(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]


def _openssl(*arguments: str | Path) -> None:
    run(["openssl", *arguments], cwd=PKI)
