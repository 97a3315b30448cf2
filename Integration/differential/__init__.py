# SPDX-License-Identifier: MIT
# Our reading of HTTP/1 heads held against those of h11 and httptools.
# Whatever we accept, they accept with the same meaning; no processes but HeadDump, no sockets.
