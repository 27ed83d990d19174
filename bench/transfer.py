"""Rows U2, U5 and D1: bytes up and down, against hashlib and nginx in the same run.

python bench/transfer.py [upload] [zeros] [download] [--mib N] [--pairs N]
"""

import argparse
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import ratio
import running

BLOCK = 1 << 20


def make_file(folder: Path, mib: int, zero_share: float = 0.0) -> Path:
    """A file of random MiB, the given share of them zeros, spread evenly."""
    path = folder / f"bench-{mib}-{zero_share}.raw"
    with path.open("wb") as file:
        for number in range(mib):
            zero = int((number + 1) * zero_share) > int(number * zero_share)
            file.write(bytes(BLOCK) if zero else os.urandom(BLOCK))
    return path


def create(service: running.Running) -> str:
    """An empty raw image; its id."""
    body = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
    _, _, answer = service.call("POST", "/v2/images", body)
    return json.loads(answer)["id"]


def upload(service: running.Running, image_id: str, path: Path) -> float:
    """Send a file; seconds until the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, blocksize=BLOCK)
    begun = time.perf_counter()
    with path.open("rb") as file:
        connection.request(
            "PUT",
            f"/v2/images/{image_id}/file",
            body=file,
            headers={
                "X-Auth-Token": service.token,
                "Content-Type": "application/octet-stream",
                "Content-Length": str(path.stat().st_size),
            },
        )
        answer = connection.getresponse()
        answer.read()
    if answer.status != 204:
        raise SystemExit(f"upload answered {answer.status}")
    return time.perf_counter() - begun


def hash_serially(path: Path) -> float:
    """Seconds that MD5 and SHA-512 of a file take, one block after the other."""
    begun = time.perf_counter()
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha512.update(block)
    return time.perf_counter() - begun


def download(port: int, target: str, headers: dict[str, str]) -> float:
    """Seconds to read a resource into one reused buffer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.perf_counter()
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    buffer = bytearray(BLOCK)
    while answer.readinto(buffer):
        pass
    return time.perf_counter() - begun


def bench_upload(service: running.Running, path: Path, pairs: int) -> None:
    """U2: an upload against serial hashing of the same file."""
    ours, peer, cpu = [], [], []
    for number in range(pairs + 1):
        image_id = create(service)
        before = service.cpu_s()
        took, plain = upload(service, image_id, path), hash_serially(path)
        if number:
            ours.append(took)
            peer.append(plain)
            cpu.append(service.cpu_s() - before)
        service.call("DELETE", f"/v2/images/{image_id}")
    gib = path.stat().st_size / (1 << 30)
    note = f"server CPU {sum(cpu) / len(cpu) / gib:.2f} s per GiB"
    ratio.report("U2", ours, peer, "upload wall s / hashlib serial s", note)


def bench_zeros(service: running.Running, folder: Path, mib: int) -> None:
    """U5: blocks on disk of an image that is 70 % zeros."""
    path = make_file(folder, mib, 0.7)
    image_id = create(service)
    upload(service, image_id, path)
    blocks = sum(
        file.stat().st_blocks * 512 for file in (service.folder / "store").rglob("*")
        if file.is_file()
    )  # fmt: skip
    share = blocks / path.stat().st_size
    print(f"U5  disk bytes / uploaded bytes: {share:.3f} (target 0.31, floor 0.35)")
    service.call("DELETE", f"/v2/images/{image_id}")


def bench_download(service: running.Running, path: Path, pairs: int) -> None:
    """D1: one client reads an image against the same file from nginx."""
    image_id = create(service)
    upload(service, image_id, path)
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-nginx-"))
    folder.chmod(0o755)
    os.link(path, folder / "file") if path.stat().st_dev == folder.stat().st_dev else shutil.copy(
        path, folder / "file"
    )
    (folder / "file").chmod(0o644)
    port = running.free_port()
    (folder / "nginx.conf").write_text(
        f"worker_processes 2; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events {}\nhttp { access_log off; sendfile on; "
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; "
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", folder / "nginx.conf"])
    try:
        running.wait_for(lambda: download(port, "/file", {}))
        ours, peer = [], []
        mib = path.stat().st_size / BLOCK
        target, headers = f"/v2/images/{image_id}/file", {"X-Auth-Token": service.token}
        for number in range(pairs + 1):
            took, plain = download(service.port, target, headers), download(port, "/file", {})
            if number:
                ours.append(mib / took)
                peer.append(mib / plain)
        ratio.report("D1", ours, peer, "download MiB/s / nginx MiB/s", "target 0.9, floor 0.6")
    finally:
        nginx.terminate()
        nginx.wait(10)
        shutil.rmtree(folder)
        service.call("DELETE", f"/v2/images/{image_id}")


def main() -> None:
    """Run the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=["upload", "zeros", "download"])
    parser.add_argument("--mib", type=int, default=1024, help="size of the file in MiB")
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="imagesvc-bench-") as name,
        running.service() as service,
    ):
        folder = Path(name)
        path = make_file(folder, asked.mib)
        if "upload" in asked.rows:
            bench_upload(service, path, asked.pairs)
        if "zeros" in asked.rows:
            bench_zeros(service, folder, asked.mib)
        if "download" in asked.rows:
            bench_download(service, path, asked.pairs)


if __name__ == "__main__":
    main()
