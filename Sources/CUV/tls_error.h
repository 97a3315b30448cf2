// SPDX-License-Identifier: MIT
// TLS's errors as codes: OpenSSL's reasons and verdicts within our ranges, and their words.
// Any thread; OpenSSL's queue of errors is the thread's own.
#ifndef CUV_TLS_ERROR_H
#define CUV_TLS_ERROR_H

#include <stddef.h>

#include "cuv_error.h"

struct ssl_st;

/// Why an operation on `ssl` failed, from the thread's queue of errors, which is empty afterwards.
int cuv_tls_take_error(const struct ssl_st *ssl);
/// The words for a code of cuv_error_is_tls, in `out`.
const char *cuv_tls_words(int error, char *out, size_t size);

#endif
