"""A fixed VHD that is made while it is read."""

import io
import subprocess

import pytest

from imagesvc.stream import fixed_vhd, pipe


@pytest.mark.parametrize("size", [512, 5120, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_it_passes_the_gate_and_a_tool_reads_the_same_disk(tmp_path, size):
    data = bytes(range(1, 252)) * (size // 251 + 1)
    raw = tmp_path / "raw"
    raw.write_bytes(data[:size])
    made = fixed_vhd.FixedVhd(io.BytesIO(data[:size]), size)
    out = io.BytesIO()
    result = pipe.pump(made, out, disk_format="vhd", expected_bytes=made.size_bytes)
    sectors = -(-size // 512) * 512
    assert result.facts.virtual_size_bytes == sectors
    (tmp_path / "vhd").write_bytes(out.getvalue())
    argv = ["qemu-img", "compare", "-f", "raw", "-F", "vpc", str(raw), str(tmp_path / "vhd")]
    assert subprocess.run(argv, capture_output=True).returncode == 0
