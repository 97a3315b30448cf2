// SPDX-License-Identifier: MIT
// Where OpenSSL's record buffers come from. Any thread.
// Their size is of no size class: in the heap they would leave holes between what lives long, a burst of handshakes several for each connection.
#ifndef CUV_TLS_MEMORY_H
#define CUV_TLS_MEMORY_H

/// Takes OpenSSL's allocations of record size over, once, before anything in the process has used OpenSSL; later it does nothing, and the
/// heap serves on.
void cuv_tls_memory_prepare(void);

#endif
