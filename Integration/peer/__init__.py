# SPDX-License-Identifier: MIT
# Independent peers for both ends of the tunnel and of HTTP, written from the specifications and from protocol.md.
# They share no code with the product, so that a mistake in it is not repeated here. Blocking sockets and threads.
