"""A kernel's TCP sockets for the tests; prints one line of JSON: "ok", or what went wrong.

echo ADDRESS PORT LENGTH ...    for each LENGTH a connection: so many bytes, then a half close; they come back, then the end
many ADDRESS PORT COUNT LENGTH  COUNT such connections at once
connect ADDRESS PORT            the outcome of a connect
outcome ADDRESS PORT            what a connection brings: the number of bytes, and how it ends
reset ADDRESS PORT              sends 5 bytes, waits for 5, then resets the connection
urgent ADDRESS PORT             sends "before", "!" as urgent data, "after", and a half close; what comes back
early ADDRESS PORT LENGTH ...   as echo, the data with the SYN (MSG_FASTOPEN): for each LENGTH whether they were acknowledged with it
serve ADDRESS PORT [QUEUE]      echoes; never ends. QUEUE: takes data with SYNs (TCP_FASTOPEN)
"""
import errno, json, random, socket, struct, sys, threading

command, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
numbers = [int(text) for text in sys.argv[4:]]


def connect():
    return socket.create_connection((address, port), timeout=20)


def echo(length):
    """Writes in pieces of all sizes while it reads; None, or what went wrong."""
    data = random.randbytes(length)
    peer = connect()

    def write():
        at = 0
        while at < length:
            size = random.choice((1, 2, 100, 1459, 1460, 1461, 5000, 65536, 200000))
            peer.sendall(data[at : at + size])
            at += size
        peer.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    back = bytearray()
    while piece := peer.recv(random.choice((1, 1000, 65536))):
        back += piece
    writer.join()
    peer.close()
    if back != data:
        return f"{length} bytes: {len(back)} came back" + (", changed" if len(back) == length else "")


def early(length):
    data = random.randbytes(length)
    peer = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    peer.sendto(data, socket.MSG_FASTOPEN, (address, port))
    peer.shutdown(socket.SHUT_WR)
    back = b""
    while piece := peer.recv(65536):
        back += piece
    TCPI_OPT_SYN_DATA = 32
    with_syn = bool(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & TCPI_OPT_SYN_DATA)
    peer.close()
    return with_syn if back == data else f"{length} bytes: {len(back)} came back"


def outcome():
    count = 0
    try:
        peer = connect()
        while piece := peer.recv(65536):
            count += len(piece)
        return [count, "end"]
    except OSError as error:
        return [count, errno.errorcode.get(error.errno, str(error))]


def many(count, length):
    results = []
    threads = [threading.Thread(target=lambda: results.append(echo(length))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad = [result for result in results if result]
    return bad[:10] if bad or len(results) < count else "ok"


def main():
    if command == "echo":
        return [result for length in numbers if (result := echo(length))] or "ok"
    if command == "early":
        return [early(length) for length in numbers]
    if command == "many":
        return many(*numbers)
    if command == "connect":
        try:
            connect().close()
            return "ok"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
    if command == "outcome":
        return outcome()
    if command == "reset":
        peer = connect()
        peer.sendall(b"hello")
        peer.recv(5, socket.MSG_WAITALL)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        return "ok"
    if command == "urgent":
        peer = connect()
        peer.sendall(b"before")
        peer.send(b"!", socket.MSG_OOB)
        peer.sendall(b"after")
        peer.shutdown(socket.SHUT_WR)
        back = b""
        while piece := peer.recv(100):
            back += piece
        return back.decode()


def serve():
    family, _, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(target, family=family, backlog=1024)
    if numbers:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, numbers[0])

    def answer(peer):
        try:
            while piece := peer.recv(65536):
                peer.sendall(piece)
        except OSError:
            pass
        peer.close()

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


if command == "serve":
    serve()
print(json.dumps(main()))
