"""What looks into a guest's disk, in a process of its own inside the sandbox.

Nothing here is imported by the service: `launch` is run with the interpreter, and what it finds
comes out as a JSON object a line. Nothing mounts; the disk is read as bytes.
"""
