#!/usr/bin/env python3
"""An ssh server of a test's own (asyncssh): one host key, one user's key, commands, and scp -O. Nothing of the
system's is used, so that no test needs the package that starts one.

    ssh_server.py HOST_KEY AUTHORIZED_KEYS        'listening PORT' on stderr, then it serves until it is killed
"""
import asyncio
import sys

import asyncssh


async def copy(source, sink):
    """Until the end of @source, which becomes the end of @sink."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except (BrokenPipeError, ConnectionError):  # the command does not read on
        pass


async def run(process):
    command = await asyncio.create_subprocess_shell(
        process.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    up = asyncio.create_task(copy(process.stdin, command.stdin))
    await asyncio.gather(copy(command.stdout, process.stdout), copy(command.stderr, process.stderr))
    process.exit(await command.wait())
    up.cancel()


async def serve(host_key, authorized_keys):
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=authorized_keys,
                                   process_factory=run, encoding=None, allow_scp=True)
    print("listening %d" % server.sockets[0].getsockname()[1], file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
