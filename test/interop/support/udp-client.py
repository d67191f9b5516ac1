"""A kernel's UDP socket for the tests; prints one line of JSON.

sweep ADDRESS PORT WINDOW FIRST LAST ...   datagrams of sizes FIRST to LAST (and so on), WINDOW of them on their way
rate ADDRESS PORT WINDOW SIZE COUNT        COUNT datagrams of one size
refused ADDRESS PORT                       the error that a datagram to a closed port brings

All datagrams must come back as they were.
"""
import errno, json, os, socket, sys, time

command, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
numbers = [int(text) for text in sys.argv[4:]]
family, _, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
peer = socket.socket(family, socket.SOCK_DGRAM)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
peer.connect(target)
peer.settimeout(3)

if command == "refused":
    try:
        peer.send(b"anyone?")
        peer.recv(1)
        print(json.dumps("an answer"))
    except OSError as error:
        print(json.dumps(errno.errorcode.get(error.errno, "nothing")))
    sys.exit()

window = numbers.pop(0)
if command == "sweep":
    sizes = [size for first, last in zip(numbers[::2], numbers[1::2]) for size in range(first, last + 1)]
else:
    sizes = [numbers[0]] * numbers[1]

noise = os.urandom(65527 + 256)
waiting, lost, wrong, received = {}, [], [], 0
start = time.monotonic()


def take():
    """Takes one answer; with nothing to be had for long, all that is waited for is lost."""
    global received
    try:
        data = peer.recv(65536)
    except socket.timeout:
        lost.extend(waiting)
        waiting.clear()
        return
    except OSError as error:
        # A router on the way has said so: what was sent is lost, the next goes in fragments.
        if error.errno != errno.EMSGSIZE:
            raise
        return
    received += 1
    expected = waiting.pop(len(data), None) if command == "sweep" else waiting.pop(next(iter(waiting)), None)
    if data != expected:
        wrong.append(len(data))


for number, size in enumerate(sizes):
    while len(waiting) >= window:
        take()
    data = noise[number % 256 : number % 256 + size]
    waiting[size if command == "sweep" else number] = data
    peer.send(data)
    if len(lost) + len(wrong) > 20:
        break
while waiting:
    take()
seconds = time.monotonic() - start
print(json.dumps({"received": received, "lost": lost, "wrong": wrong, "seconds": seconds}))
