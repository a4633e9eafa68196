/* An echo client that shares no code with rtswap's load generator.
 *
 *     echo HOST PORT CONNECTIONS BYTES SECONDS RATE
 *
 * RATE 0: a closed loop on each connection. Otherwise: message i is due i/RATE seconds after the start, and its
 * latency counts from then. One thread, which sleeps whenever nothing is due and nothing has arrived. Compares
 * every echoed byte, and prints one line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define OFFSETS 4093
/* Latencies: 128 linear steps for each power of two. */
#define STEPS 128
#define BUCKETS (64 * STEPS)

struct conn {
    int fd, busy, watches_output;
    const char *message; /* of the exchange under way */
    size_t sent, received;
    int64_t since; /* when it was sent, or due */
    uint64_t exchanges;
};

static struct conn *conns;
static int *idle_conns, idle_count;
static int epoll_fd;
static size_t size;
static char *pattern, *buffer;
static uint64_t histogram[BUCKETS], messages;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void wrong(const char *what, long number) {
    fprintf(stderr, "connection %ld: %s\n", number, what);
    exit(3);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void record(int64_t ns) {
    uint64_t value = ns < 1 ? 1 : (uint64_t)ns;
    int power = 63 - __builtin_clzll(value);
    uint64_t step = power >= 7 ? (value >> (power - 7)) & (STEPS - 1) : (value << (7 - power)) & (STEPS - 1);
    histogram[power * STEPS + step]++;
    messages++;
}

/* The upper edge of the bucket that holds the quantile. */
static uint64_t quantile(double q) {
    uint64_t rank = (uint64_t)(q * (double)messages + 0.999999), seen = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (histogram[i] && seen >= rank)
            return (uint64_t)((1.0 + (double)(i % STEPS + 1) / STEPS) * (double)(1ULL << (i / STEPS)));
    }
    return 0;
}

static void watch(struct conn *conn, int output) {
    if (conn->watches_output == output)
        return;
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, conn->fd, &event))
        fail("epoll_ctl");
    conn->watches_output = output;
}

static void send_rest(struct conn *conn) {
    while (conn->sent < size) {
        ssize_t n = send(conn->fd, conn->message + conn->sent, size - conn->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            fail("send");
        conn->sent += (size_t)n;
    }
    watch(conn, conn->sent < size);
}

static void begin(struct conn *conn, int64_t since) {
    /* Differs between connections, and from the message before. */
    conn->message = pattern + ((uint64_t)(conn - conns) * 131 + conn->exchanges * 7) % OFFSETS;
    conn->exchanges++;
    conn->busy = 1;
    conn->sent = conn->received = 0;
    conn->since = since;
    send_rest(conn);
}

/* Reads what there is. Whether the exchange is complete. */
static int receive(struct conn *conn) {
    for (;;) {
        /* One byte more than is due shows an answer that is too long. */
        ssize_t n = recv(conn->fd, buffer, size - conn->received + 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            fail("recv");
        if (n == 0)
            wrong("closed by the server", conn - conns);
        if (!conn->busy || conn->received + (size_t)n > conn->sent)
            wrong("more bytes than were sent", conn - conns);
        if (memcmp(buffer, conn->message + conn->received, (size_t)n))
            wrong("other bytes than were sent", conn - conns);
        conn->received += (size_t)n;
        if (conn->received == size) {
            conn->busy = 0;
            return 1;
        }
        if (conn->received < conn->sent)
            continue;
        return 0;
    }
}

int main(int argc, char **argv) {
    if (argc != 7) {
        printf("usage: echo HOST PORT CONNECTIONS BYTES SECONDS RATE\n");
        return 2;
    }
    int count = atoi(argv[3]);
    size = (size_t)atol(argv[4]);
    double seconds = atof(argv[5]), rate = atof(argv[6]);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *addr;
    if (getaddrinfo(argv[1], argv[2], &hints, &addr) || count < 1 || size < 1 || seconds <= 0 || rate < 0) {
        fprintf(stderr, "invalid argument\n");
        return 2;
    }
    conns = calloc((size_t)count, sizeof *conns);
    idle_conns = calloc((size_t)count, sizeof *idle_conns);
    pattern = malloc(size + OFFSETS);
    buffer = malloc(size + 1);
    if (!conns || !idle_conns || !pattern || !buffer)
        fail("malloc");
    uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size + OFFSETS; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        pattern[i] = (char)(state >> 32);
    }
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if ((epoll_fd = epoll_create1(0)) < 0)
        fail("epoll_create1");
    for (int i = 0; i < count; i++) {
        struct conn *conn = &conns[i];
        int yes = 1;
        if ((conn->fd = socket(addr->ai_family, SOCK_STREAM, 0)) < 0)
            fail("socket");
        if (connect(conn->fd, addr->ai_addr, addr->ai_addrlen))
            fail("connect");
        if (setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
            fail("TCP_NODELAY");
        if (fcntl(conn->fd, F_SETFL, O_NONBLOCK))
            fail("O_NONBLOCK");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event))
            fail("epoll_ctl");
    }

    int64_t start = now(), end = start + (int64_t)(seconds * 1e9);
    /* Messages in flight or waiting at the end get another second. */
    int64_t last = end + 1000000000, finished = start;
    uint64_t due_count = 0, due_total = (uint64_t)(seconds * rate);
    double period = rate > 0 ? 1e9 / rate : 0;
    int busy = 0;
    for (int i = count - 1; i >= 0; i--) {
        if (rate > 0)
            idle_conns[idle_count++] = i;
        else
            begin(&conns[i], start), busy++;
    }
    for (;;) {
        int64_t time = now();
        int64_t next = last;
        if (rate > 0) {
            while (idle_count && due_count < due_total) {
                int64_t due = start + (int64_t)((double)due_count * period);
                if (due > time) {
                    next = due;
                    break;
                }
                due_count++;
                busy++;
                begin(&conns[idle_conns[--idle_count]], due);
            }
        }
        int done = rate > 0 ? due_count >= due_total : time >= end;
        if ((done && !busy) || time >= last)
            break;
        struct epoll_event events[EVENTS];
        int64_t wait = next > time ? next - time : 0;
        struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        struct pollfd pollfd = {.fd = epoll_fd, .events = POLLIN};
        /* poll, because epoll_wait cannot sleep for less than a millisecond, and epoll_pwait2 is too new. */
        int ready = ppoll(&pollfd, 1, &timeout, NULL);
        if (ready < 0 && errno != EINTR)
            fail("ppoll");
        if (ready <= 0)
            continue;
        int n = epoll_wait(epoll_fd, events, EVENTS, 0);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_rest(conn);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !receive(conn))
                continue;
            finished = now();
            record(finished - conn->since);
            if (rate == 0 && finished < end) {
                begin(conn, finished);
            } else {
                busy--;
                idle_conns[idle_count++] = (int)(conn - conns);
            }
        }
    }
    if (rate > 0 && finished < end)
        finished = end;
    if (!messages) {
        fprintf(stderr, "no answer within %.1f s\n", seconds + 1);
        return 1;
    }
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu}\n",
           (unsigned long long)messages, (double)(finished - start) / 1e9, (unsigned long long)quantile(0.5),
           (unsigned long long)quantile(0.9), (unsigned long long)quantile(0.99),
           (unsigned long long)quantile(0.999));
    return 0;
}
