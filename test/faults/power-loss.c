/*
 * Notes every change that a process makes below one folder, in order, with the bytes: what a disk would be told.
 *
 * Preloaded into node, whose file system calls go through libc. From the log, power-loss.ts makes up disks as they may look after a
 * power loss at any moment: what was not synced may be missing, or be there before what came earlier.
 *
 * Record: u8 kind, u64 inode, u64 offset, u32 length of a, u32 length of b, a, b  (little-endian, packed)
 *   c create file a     m make folder a    w write b at offset    t truncate to offset
 *   s sync inode        l link a to b      r rename a to b        u unlink a            d remove folder a
 *
 * POWER_LOSS_ROOT is the folder, POWER_LOSS_LOG the log. One lock around every call: the order noted is the order that happened.
 * Not handled: mmap, O_APPEND, file systems where sendfile is not what copies a file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int log_fd = -1;
static unsigned char watched[MAX_FD];

#define REAL(name, type, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static ssize_t real_write(int fd, const void *data, size_t length) {
    REAL(write, ssize_t, int, const void *, size_t);
    return real(fd, data, length);
}

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(open64, int, const char *, int, ...);
    return real(path, flags, mode);
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWER_LOSS_ROOT");
    const char *path = getenv("POWER_LOSS_LOG");
    if (!root || !path) return;
    root_length = strlen(root);
    log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_below(const char *path) {
    return log_fd >= 0 && path && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static void path_of_fd(int fd, char path[32]) {
    char digits[12];
    int count = 0;
    strcpy(path, "/proc/self/fd/");
    size_t end = strlen(path);
    for (int rest = fd; count == 0 || rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) path[end++] = digits[--count];
    path[end] = 0;
}

/* libuv closes descriptors by itself: a number that was ours may be anything by now, so it is looked at again. */
static int is_watched(int fd) {
    if (log_fd < 0 || fd < 0 || fd >= MAX_FD || !watched[fd]) return 0;
    char link[32], path[4096];
    path_of_fd(fd, link);
    int saved = errno;
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length > 0) path[length] = 0;
    watched[fd] = length > 0 && (is_below(path) || strcmp(path, root) == 0);
    return watched[fd];
}

static void put(const void *data, size_t length) {
    const char *rest = data;
    while (length > 0) {
        ssize_t done = real_write(log_fd, rest, length);
        if (done < 0) {
            if (errno == EINTR) continue;
            abort();
        }
        rest += done;
        length -= (size_t)done;
    }
}

static void note(char kind, uint64_t inode, uint64_t offset, const void *a, size_t a_length, const void *b, size_t b_length) {
    int saved = errno;
    unsigned char head[25];
    uint32_t lengths[2] = {(uint32_t)a_length, (uint32_t)b_length};
    head[0] = (unsigned char)kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, lengths, 8);
    put(head, sizeof head);
    put(a, a_length);
    put(b, b_length);
    errno = saved;
}

static const char *inside(const char *path) { return path + root_length + 1; }

static void note_path(char kind, uint64_t inode, const char *path) {
    note(kind, inode, 0, inside(path), strlen(inside(path)), "", 0);
}

static void note_paths(char kind, const char *from, const char *to) {
    note(kind, 0, 0, inside(from), strlen(inside(from)), inside(to), strlen(inside(to)));
}

static uint64_t inode_of(int fd) {
    struct stat64 stats;
    return fstat64(fd, &stats) == 0 ? stats.st_ino : 0;
}

static int open_noted(const char *path, int flags, mode_t mode) {
    if (!is_below(path)) return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat64 stats;
    int is_new = (flags & O_CREAT) && lstat64(path, &stats) != 0;
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < MAX_FD) {
        watched[fd] = 1;
        if (is_new) note_path('c', inode_of(fd), path);
        else if (flags & O_TRUNC) note('t', inode_of(fd), 0, "", 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_noted(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_noted(path, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t);
    if (!is_watched(fd)) return real(fd, data, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = real(fd, data, length, offset);
    if (done > 0) note('w', inode_of(fd), (uint64_t)offset, "", 0, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_watched(fd)) return real_write(fd, data, length);
    pthread_mutex_lock(&lock);
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    ssize_t done = real_write(fd, data, length);
    if (done > 0) note('w', inode_of(fd), (uint64_t)offset, "", 0, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev, ssize_t, int, const struct iovec *, int);
    if (!is_watched(fd)) return real(fd, parts, count);
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t part = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (part < 0) return done > 0 ? done : part;
        done += part;
    }
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    REAL(pwritev64, ssize_t, int, const struct iovec *, int, off64_t);
    if (!is_watched(fd)) return real(fd, parts, count, offset);
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t part = pwrite64(fd, parts[i].iov_base, parts[i].iov_len, offset + done);
        if (part < 0) return done > 0 ? done : part;
        done += part;
    }
    return done;
}

/* Copying a file: the bytes are read back, so that the log has them. */
static void note_copied(int fd, off64_t offset, ssize_t length) {
    char *data = malloc((size_t)length);
    char path[32];
    path_of_fd(fd, path);
    int reader = real_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (!data || reader < 0 || pread64(reader, data, (size_t)length, offset) != length) abort();
    note('w', inode_of(fd), (uint64_t)offset, "", 0, data, (size_t)length);
    close(reader);
    free(data);
}

ssize_t sendfile64(int out, int in, off64_t *position, size_t length) {
    REAL(sendfile64, ssize_t, int, int, off64_t *, size_t);
    if (!is_watched(out)) return real(out, in, position, length);
    pthread_mutex_lock(&lock);
    off64_t offset = lseek64(out, 0, SEEK_CUR);
    ssize_t done = real(out, in, position, length);
    if (done > 0) note_copied(out, offset, done);
    pthread_mutex_unlock(&lock);
    return done;
}

/* Refused, so that libuv falls back to sendfile. */
ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags) {
    REAL(copy_file_range, ssize_t, int, off64_t *, int, off64_t *, size_t, unsigned);
    if (!is_watched(out)) return real(in, in_offset, out, out_offset, length, flags);
    errno = ENOSYS;
    return -1;
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64, int, int, off64_t);
    if (!is_watched(fd)) return real(fd, length);
    pthread_mutex_lock(&lock);
    int result = real(fd, length);
    if (result == 0) note('t', inode_of(fd), (uint64_t)length, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Not really synced: no power is lost here, and the log says what would be. */
static int sync_noted(int fd) {
    pthread_mutex_lock(&lock);
    note('s', inode_of(fd), 0, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) {
    REAL(fsync, int, int);
    return is_watched(fd) ? sync_noted(fd) : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync, int, int);
    return is_watched(fd) ? sync_noted(fd) : real(fd);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir, int, const char *, mode_t);
    if (!is_below(path)) return real(path, mode);
    pthread_mutex_lock(&lock);
    int result = real(path, mode);
    struct stat64 stats;
    if (result == 0 && lstat64(path, &stats) == 0) note_path('m', stats.st_ino, path);
    pthread_mutex_unlock(&lock);
    return result;
}

#define ONE_PATH(name, kind) \
    int name(const char *path) { \
        REAL(name, int, const char *); \
        if (!is_below(path)) return real(path); \
        pthread_mutex_lock(&lock); \
        int result = real(path); \
        if (result == 0) note_path(kind, 0, path); \
        pthread_mutex_unlock(&lock); \
        return result; \
    }
ONE_PATH(unlink, 'u')
ONE_PATH(rmdir, 'd')

/* Both ends below the root, or neither: nothing here moves a file into the state dir or out of it. */
#define TWO_PATHS(name, kind) \
    int name(const char *from, const char *to) { \
        REAL(name, int, const char *, const char *); \
        if (!is_below(from) && !is_below(to)) return real(from, to); \
        if (!is_below(from) || !is_below(to)) { \
            errno = EXDEV; \
            return -1; \
        } \
        pthread_mutex_lock(&lock); \
        int result = real(from, to); \
        if (result == 0) note_paths(kind, from, to); \
        pthread_mutex_unlock(&lock); \
        return result; \
    }
TWO_PATHS(rename, 'r')
TWO_PATHS(link, 'l')
