#!/usr/bin/python3
"""unixecho.py serve PATH | ask PATH N | pass PATH: asyncio over a socket's name; `pass` sends a descriptor along."""
import array
import asyncio
import os
import socket
import sys

PATH = sys.argv[2]


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.write(b"bye\n")
    writer.close()


async def serve():
    server = await asyncio.start_unix_server(answer, PATH)
    print("named", server.sockets[0].getsockname() == PATH, flush=True)
    async with server:
        await server.serve_forever()


async def ask(number):
    reader, writer = await asyncio.open_unix_connection(PATH)
    good = 0
    for i in range(50):
        writer.write(b"line %d of %d\n" % (i, number))
        good += await reader.readline() == b"LINE %d OF %d\n" % (i, number)
    writer.write_eof()
    good += await reader.read() == b"bye\n"
    writer.close()
    return good


async def ask_all(count):
    print(sum(await asyncio.gather(*(ask(i) for i in range(count)))), flush=True)


def pass_descriptor():
    s = socket.socket(socket.AF_UNIX)
    s.connect(PATH)
    s.sendmsg([b"with it\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
    print(s.recv(100).decode().strip(), flush=True)


if sys.argv[1] == "serve":
    asyncio.run(serve())
elif sys.argv[1] == "ask":
    asyncio.run(ask_all(int(sys.argv[3])))
else:
    pass_descriptor()
