/* Loaded before libc: the n-th call that writes below a folder fails, once or from then on, or is the last. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char below[4096];
static long calls, failing, on;
static int code, killing;

/* Counts calls below `folder` from now on; call number `n` fails with `error`, and all later ones where `lasting`. */
void arm(const char *folder, long n, int error, int lasting) {
    snprintf(below, sizeof below, "%s", folder);
    failing = n, code = error, on = lasting, calls = killing = 0;
}

/* Before call number `n` below `folder` the process is killed. Calls that remove files count here, too. */
void arm_to_kill(const char *folder, long n) {
    arm(folder, n, 0, 0);
    killing = 1;
}

long disarm(void) {
    below[0] = 0;
    return calls;
}

static int fails(const char *path) {
    if (!below[0] || !path || strncmp(path, below, strlen(below)))
        return 0;
    long now = __sync_add_and_fetch(&calls, 1);
    if (killing) {
        if (now == failing)
            kill(getpid(), SIGKILL);
        return 0;
    }
    if (now == failing || (on && failing && now > failing)) {
        errno = code;
        return 1;
    }
    return 0;
}

static int fd_fails(int fd) {
    char link[64], path[4096];
    if (!below[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(path);
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fd_fails(fd) ? -1 : real(fd, data, size);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fd_fails(fd) ? -1 : real(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return fd_fails(fd) ? -1 : real(fd, data, size, at);
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return fd_fails(fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return fd_fails(fd) ? -1 : real(fd);
}
int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    return fd_fails(fd) ? -1 : real(fd, size);
}
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return fails(to) ? -1 : real(from, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return fails(path) ? -1 : real(path, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return (flags & O_CREAT) && fails(path) ? -1 : real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    REAL(int, "open", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return (flags & O_CREAT) && fails(path) ? -1 : real(path, flags, mode);
}
int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return killing && fails(path) ? -1 : real(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    return killing && fd_fails(folder) ? -1 : real(folder, path, flags);
}
int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    return killing && fails(path) ? -1 : real(path);
}
