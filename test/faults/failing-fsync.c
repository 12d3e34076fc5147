/*
 * Fails the first fsync of one file with EIO, as a disk does that could not write what the kernel had taken: told once, and never again.
 *
 * Preloaded into node, whose file system calls go through libc. FSYNC_FAILS is the file's name inside its folder; with FSYNC_LOSES=1
 * its first byte is lost as well, and its times stay, as when a page that was never written is read again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int has_failed;

static int is_ours(int fd, char path[4096]) {
    const char *name = getenv("FSYNC_FAILS");
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (!name || length <= 0) return 0;
    path[length] = 0;
    const char *last = strrchr(path, '/');
    return last && strcmp(last + 1, name) == 0;
}

static void lose_first_byte(const char *path) {
    struct stat stats;
    FILE *file = fopen(path, "r+");
    if (!file || fstat(fileno(file), &stats) != 0) abort();
    fputc(0, file);
    fflush(file);
    struct timespec times[2] = {stats.st_atim, stats.st_mtim};
    futimens(fileno(file), times);
    fclose(file);
}

int fsync(int fd) {
    /* dlsym gives an object pointer; POSIX says that it may be called. */
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    char path[4096];
    if (is_ours(fd, path) && !atomic_exchange(&has_failed, 1)) {
        if (getenv("FSYNC_LOSES")) lose_first_byte(path);
        errno = EIO;
        return -1;
    }
    return real(fd);
}
