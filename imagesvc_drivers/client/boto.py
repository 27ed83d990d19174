"""boto3's clients, made one at a time from one session a process."""

import functools
import os
import threading
from typing import Any

import boto3

_LOCK = threading.Lock()  # a session is for one thread at a time


def client(service: str, **named: Any) -> Any:
    """A client of an AWS service, which many threads may use; not across a fork."""
    with _LOCK:
        return _session(os.getpid()).client(service, **named)


@functools.cache
def _session(process: int) -> Any:
    # It holds the description of the API: a client takes 20 ms with it, 250 ms with a new one.
    return boto3.session.Session()
