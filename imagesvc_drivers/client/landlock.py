"""Launcher that locks itself in with Landlock, seccomp and rlimits, then runs a tool.

Started by `client/sandbox.py` as `python -I -S landlock.py PLAN ARGV...`; it imports nothing
but the standard library. PLAN is JSON with the keys `read`, `program` and `write` (paths), `rlimit`
(name -> number), `env` and `seccomp` (hex). Landlock: linux/landlock.h, system calls 444 to
446, which have the same numbers on every architecture.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _MAKE_SOCK, _TRUNCATE = 1 << 5, 1 << 8, 1 << 9, 1 << 14
# Rights that each ABI version knows: 1 has 13 of them, 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_RIGHTS_NEWEST = (1 << 16) - 1
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *args: object) -> int:
    result = int(_LIBC.syscall(number, *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, *args: object) -> None:
    if _LIBC.prctl(option, *args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd), 12)
        _call(_ADD_RULE, ruleset, 1, rule, 0)
    finally:
        os.close(fd)


def _restrict(read: list[str], program: list[str], write: list[str]) -> None:
    abi = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    rights = _RIGHTS.get(abi, _RIGHTS_NEWEST)
    # handled file rights; TCP bind and connect from ABI 4; abstract sockets and signals from 6
    attr = struct.pack("=QQQ", rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(
        _CREATE_RULESET, ctypes.create_string_buffer(attr, 24), ctypes.c_size_t(size), 0
    )
    for path in (*_SYSTEM, *program):
        if os.path.isdir(path):
            _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
        elif os.path.exists(path):
            _allow(ruleset, path, _READ_FILE)
    for path in read:
        _allow(ruleset, path, _READ_FILE)
    make = _MAKE_REG | _MAKE_SOCK | _REMOVE_FILE
    inside = _READ_FILE | _WRITE_FILE | (_TRUNCATE & rights)
    for path in write:
        folder = _READ_DIR | make if os.path.isdir(path) else 0
        _allow(ruleset, path, inside | folder)
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    _allow(ruleset, "/dev/urandom", _READ_FILE)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _filter(code: bytes) -> None:
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, 2, ctypes.create_string_buffer(fprog, len(fprog)))


def main() -> None:
    """Lock in, then become the tool."""
    plan = json.loads(sys.argv[1])
    argv = sys.argv[2:]
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir("/")
    _restrict(plan["read"], plan["program"], plan["write"])
    for name, value in plan["rlimit"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    _filter(bytes.fromhex(plan["seccomp"]))
    os.execve(argv[0], argv, plan["env"])  # noqa: S606 -- the launcher's whole purpose


if __name__ == "__main__":
    main()
