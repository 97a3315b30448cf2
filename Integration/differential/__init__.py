# SPDX-License-Identifier: MIT
# Our reading of HTTP/1 heads held against other parsers': whatever we accept, they accept with the same meaning.
