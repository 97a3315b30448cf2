// SPDX-License-Identifier: MIT
// A TCP relay that holds every byte back for a fixed time, in both directions: a long line on one machine, where the
// kernel has no netem. Usage: delay_relay PORT TO_PORT MILLISECONDS, loopback only. One thread, epoll.
// Each direction holds at most RING bytes; when it is full its sender waits, as at a full router. It must not be what
// limits a measurement: a read stamps its bytes with the time they may leave, and nothing is copied beyond that.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RING = 64 << 20, STAMPS = 1 << 16, LINES = 64, READ_MAX = 256 << 10 };

// What one read brought: bytes up to `end` may leave at `due`.
struct stamp { uint64_t end, due; };

struct direction {
    int from, to;
    uint64_t head, tail;              // bytes read, bytes written, ever; the ring holds the difference
    uint32_t first, last;             // stamps waiting are [first, last)
    int ended, shut;                  // end of stream read; and passed on
    struct stamp stamps[STAMPS];
    char *ring;
};

struct line { int used; struct direction up, down; };

static struct line lines[LINES];
static uint64_t delay_ns;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void prepare(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

static int listen_on(int port) {
    struct sockaddr_in address = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 128)) die("delay_relay: listen");
    prepare(fd);
    return fd;
}

static void open_direction(struct direction *d, int from, int to) {
    char *ring = d->ring;
    memset(d, 0, sizeof *d);
    d->from = from, d->to = to, d->ring = ring;
    if (ring) return;
    d->ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d->ring == MAP_FAILED) die("delay_relay: mmap");
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("delay_relay: epoll");
}

static void accept_line(int epoll, int listener, int to_port) {
    int client = accept(listener, NULL, NULL), server;
    struct sockaddr_in address = loopback(to_port);
    struct line *line = lines;
    if (client < 0) return;
    while (line < lines + LINES && line->used) line++;
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line == lines + LINES || connect(server, (struct sockaddr *)&address, sizeof address)) {
        close(client), close(server);
        return;
    }
    prepare(client), prepare(server);
    line->used = 1;
    open_direction(&line->up, client, server);
    open_direction(&line->down, server, client);
    watch(epoll, client), watch(epoll, server);
}

// Reads all there is, or all there is room for. Returns a negative number where the connection is broken.
static int fill(struct direction *d, uint64_t now) {
    while (!d->ended && d->head - d->tail < RING && d->last - d->first < STAMPS) {
        uint64_t at = d->head % RING, room = RING - (d->head - d->tail);
        if (room > RING - at) room = RING - at;
        if (room > READ_MAX) room = READ_MAX;
        ssize_t got = read(d->from, d->ring + at, room);
        if (got < 0) return errno == EAGAIN ? 0 : -1;
        d->ended = got == 0;
        d->head += (uint64_t)got;
        d->stamps[d->last++ % STAMPS] = (struct stamp){d->head, now + delay_ns};
    }
    return 0;
}

// Writes what is due. Returns a negative number where the connection is broken.
static int drain(struct direction *d, uint64_t now) {
    while (d->first != d->last && d->stamps[d->first % STAMPS].due <= now) {
        uint64_t at = d->tail % RING, size = d->stamps[d->first % STAMPS].end - d->tail;
        if (size > RING - at) size = RING - at;
        ssize_t put = size ? send(d->to, d->ring + at, size, MSG_NOSIGNAL) : 0;
        if (put < 0) return errno == EAGAIN ? 0 : -1;
        d->tail += (uint64_t)put;
        if (d->tail == d->stamps[d->first % STAMPS].end) d->first++;
    }
    if (d->ended && d->head == d->tail && d->first == d->last && !d->shut) d->shut = 1, shutdown(d->to, SHUT_WR);
    return 0;
}

static void run_line(struct line *line, uint64_t now) {
    int broken = 0;
    for (int pass = 0; pass < 2; pass++) {      // a drain makes room for a read that no event will announce again
        broken |= fill(&line->up, now) | fill(&line->down, now);
        broken |= drain(&line->up, now) | drain(&line->down, now);
    }
    if (!broken && !(line->up.shut && line->down.shut)) return;
    close(line->up.from), close(line->up.to);
    madvise(line->up.ring, RING, MADV_DONTNEED), madvise(line->down.ring, RING, MADV_DONTNEED);
    line->used = 0;
}

// Milliseconds until something is due: 1 while anything waits, since epoll counts in milliseconds.
static int patience(void) {
    for (struct line *line = lines; line < lines + LINES; line++)
        if (line->used && (line->up.first != line->up.last || line->down.first != line->down.last)) return 1;
    return -1;
}

int main(int count, char **words) {
    struct epoll_event events[2 * LINES];
    if (count != 4) return fprintf(stderr, "usage: delay_relay PORT TO_PORT MILLISECONDS\n"), 2;
    int listener = listen_on(atoi(words[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    delay_ns = (uint64_t)atoi(words[3]) * 1000000u;
    signal(SIGPIPE, SIG_IGN);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) die("delay_relay: epoll");
    for (;;) {
        int ready = epoll_wait(epoll, events, 2 * LINES, patience());
        for (int i = 0; i < ready; i++)
            if (events[i].data.fd == listener) accept_line(epoll, listener, atoi(words[2]));
        uint64_t now = now_ns();
        for (struct line *line = lines; line < lines + LINES; line++)
            if (line->used) run_line(line, now);
    }
}
