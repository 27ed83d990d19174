"""A seccomp filter for tools: no sockets but unix ones, or none, and none of the risky calls.

The program is classic BPF over `struct seccomp_data` (linux/seccomp.h): at offset 0 the call's
number, at 4 the architecture, at 16 the low half of the first argument.
"""

import platform
import struct

# Numbers of linux/audit.h and of the kernel's call tables.
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_DENIED = {
    # ptrace, mount, umount2, add_key, request_key, keyctl, unshare, process_vm_readv,
    # process_vm_writev, bpf, userfaultfd, perf_event_open, kexec_load, setns
    "x86_64": (101, 165, 166, 248, 249, 250, 272, 310, 311, 321, 323, 298, 246, 308),
    "aarch64": (117, 40, 39, 217, 218, 219, 97, 270, 271, 280, 282, 241, 104, 268),
}
# io_uring_setup, io_uring_enter, io_uring_register, open_tree, move_mount, fsopen, fsmount,
# pidfd_getfd: the same numbers everywhere
_DENIED_ANYWHERE = (425, 426, 427, 428, 429, 430, 432, 438)

_X32_BIT = 0x40000000
_AF_UNIX, _AF_NONE = 1, 0xFFFFFFFF
_EPERM = 1
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | _EPERM


def program(machine: str | None = None, *, sockets: bool = True) -> bytes:
    """Make the filter for `machine` (this one if None); empty where we have no table.

    Without `sockets` there are no unix ones either.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        return b""
    denied = (*_DENIED[machine], *_DENIED_ANYWHERE)
    code = [
        _step(_LOAD, 4),
        _step(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),
        _step(_JUMP_AT_LEAST, _X32_BIT, len(denied) + 3, 0),
    ]
    # Every test jumps forward to the shared refusal, which stands last.
    for index, number in enumerate(denied):
        code.append(_step(_JUMP_EQUAL, number, len(denied) - index + 2, 0))
    code += [
        _step(_JUMP_EQUAL, _SOCKET[machine], 0, 3),
        _step(_LOAD, 16),
        _step(_JUMP_EQUAL, _AF_UNIX if sockets else _AF_NONE, 1, 0),
        _step(_RETURN, _REFUSE),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
