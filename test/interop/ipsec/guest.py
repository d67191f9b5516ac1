# The judge's side, inside user-mode-linux: echoes, and does what it is told, a line of JSON for each order and each answer.
import json, socket, struct, subprocess, sys, threading, time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_echo():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", 7))
    while True:
        data, who = s.recvfrom(65536)
        try:
            s.sendto(data, who)
        except OSError:
            pass


def tcp_echo():
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", 7))
    s.listen(64)
    while True:
        c, _ = s.accept()
        threading.Thread(target=echo, args=(c,), daemon=True).start()


def echo(c):
    try:
        while data := c.recv(65536):
            c.sendall(data)
    except OSError:
        pass
    c.close()


def pattern(n):
    return bytes(i * 7 & 255 for i in range(n))


def udp(address, size):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        for _ in range(6):
            s.sendto(pattern(size), (address, 7))
            try:
                return s.recvfrom(65536)[0] == pattern(size)
            except TimeoutError:
                pass
    return False


def tcp(address, size):
    with socket.create_connection((address, 7), timeout=30) as s:
        s.sendall(pattern(size))
        s.shutdown(socket.SHUT_WR)
        got = b""
        while data := s.recv(65536):
            got += data
    return got == pattern(size)


def ping(address, size):
    six = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    with socket.socket(family(address), socket.SOCK_RAW, protocol) as s:
        s.settimeout(5)
        body = struct.pack(">HH", 4711, 1) + pattern(size)
        message = bytes([128 if six else 8, 0, 0, 0]) + body
        if not six:
            words = struct.unpack(">%dH" % (len(message) // 2), message)
            total = sum(words)
            while total > 0xFFFF:
                total = (total & 0xFFFF) + (total >> 16)
            message = message[:2] + struct.pack(">H", ~total & 0xFFFF) + body
        for _ in range(6):
            s.sendto(message, (address, 0))
            end = time.time() + 5
            try:
                while time.time() < end:
                    data, who = s.recvfrom(65536)
                    if not six:
                        data = data[20:]
                    if data[0] == (129 if six else 0) and data[4:] == body:
                        return True
            except TimeoutError:
                pass
    return False


# Waits for a datagram: its text.
def hear(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", port))
        s.settimeout(10)
        return s.recv(65536).decode()


# A datagram with a TOS or traffic class, and that of what came back; 0 of several: none did.
def tos(address, value, wait):
    six = ":" in address
    level, send, receive = (41, 67, 66) if six else (0, 1, 13)
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.setsockopt(level, send, value)
        s.setsockopt(level, receive, 1)
        s.settimeout(wait)
        s.sendto(b"tos", (address, 7))
        try:
            _, extra, _, _ = s.recvmsg(100, 100)
            return [extra[0][2][0]]
        except TimeoutError:
            return []


# A socket that takes ESP out of UDP for the kernel.
def encapsulate(port, any):
    s = socket.socket(family(any), socket.SOCK_DGRAM)
    if ":" in any:
        s.setsockopt(41, 26, 1)
    s.setsockopt(socket.IPPROTO_UDP, 100, 2)
    s.bind((any, port))
    kept.append(s)
    return True


kept = []


def do(order):
    name, *rest = order
    if name == "run":
        done = subprocess.run(rest[0], shell=True, capture_output=True, text=True)
        return [done.returncode, done.stdout + done.stderr]
    if name == "batch":
        done = subprocess.run(["ip", "-batch", "-"], input=rest[0], capture_output=True, text=True)
        return [done.returncode, done.stdout + done.stderr]
    return {"udp": udp, "tcp": tcp, "ping": ping, "hear": hear, "tos": tos, "encapsulate": encapsulate}[name](*rest)


for f in (udp_echo, tcp_echo):
    threading.Thread(target=f, daemon=True).start()
print("@@\"ready\"", flush=True)
for line in sys.stdin:
    try:
        answer = do(json.loads(line))
    except Exception as error:
        answer = repr(error)
    print("@@" + json.dumps(answer), flush=True)
