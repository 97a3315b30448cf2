// SPDX-License-Identifier: MIT
// For LD_PRELOAD: a resolver that hangs, for ever, for names that end in ".hung".
// Test only.
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    size_t length = name ? strlen(name) : 0;
    while (length > 5 && strcmp(name + length - 5, ".hung") == 0) pause();
    return ((resolver)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, out);
}
