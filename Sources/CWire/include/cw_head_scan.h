// SPDX-License-Identifier: MIT
// Finds the end of an HTTP/1 head (RFC 9112 2.1): start line, field lines, empty line. Looks only at line structure; the
// meaning of the lines is read in Swift (PikoCore/HTTP).
#ifndef CW_HEAD_SCAN_H
#define CW_HEAD_SCAN_H

#include <stddef.h>
#include <stdint.h>

/// How far a head has been scanned, so that growing input is not scanned twice. Zero-initialise for each head.
typedef struct cw_head_scan {
    size_t scanned;    ///< bytes already known to hold no end of head and no fault
    int error;         ///< sticky
} cw_head_scan;

/// Scans bytes[0..<count], the whole head so far (its first byte is always bytes[0]).
/// > 0: the length of the head, its empty line included. 0: need more. < 0: CW_E_HEAD_...; reported as early as it is seen.
/// Empty lines in front of a request line are the caller's to skip (at most one CRLF, RFC 9112 2.2): bytes
/// that begin with CRLF are a head of length 2.
int64_t cw_head_scan_next(cw_head_scan *scan, const uint8_t *bytes, size_t count);

#endif
