/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stands between a program and the C library (LD_PRELOAD), and writes down in order what the program does to the files
 * below one directory: what SQLite does, and what Python does. It can let one kind of call fail, too. All other files,
 * and all files while nothing is recorded, are left alone. What was recorded is read by `operations.py`.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FILES 1024
#define MOST_MAPPINGS 64
#define CREATED 1
#define EMPTIED 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static FILE *out;
static char *names[MOST_FILES]; /* of the files below the directory that are open, by descriptor */

static struct {
    char *begin;
    size_t length;
    int descriptor;
    off_t offset;
} mappings[MOST_MAPPINGS]; /* of those files, to which a program may write; an end is a length of 0 */

static struct {
    char call[16];
    char suffix[64];
    long skipped;
    long times;
    int error;
} fault;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        fprintf(stderr, "recorder: there is no %s\n", name);
        abort();
    }
    return found;
}

static int is_below(const char *path)
{
    size_t length = strlen(root);
    return length && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static const char *name_of(int descriptor)
{
    return descriptor >= 0 && descriptor < MOST_FILES ? names[descriptor] : NULL;
}

static void put(char kind, int descriptor, int64_t number, const void *bytes, uint32_t length)
{
    if (out == NULL)
        return;
    int32_t file = descriptor;
    fwrite(&kind, 1, 1, out);
    fwrite(&file, sizeof file, 1, out);
    fwrite(&number, sizeof number, 1, out);
    fwrite(&length, sizeof length, 1, out);
    fwrite(bytes, 1, length, out);
}

static void put_path(char kind, int descriptor, int64_t number, const char *path)
{
    const char *below = path + strlen(root);
    put(kind, descriptor, number, below, strlen(below));
}

/* Whether this call is to fail now; errno says with what. */
static int is_failing(const char *call, const char *path)
{
    size_t length = path ? strlen(path) : 0, end = strlen(fault.suffix);
    if (!path || !fault.times || strcmp(call, fault.call) || length < end || strcmp(path + length - end, fault.suffix))
        return 0;
    if (fault.skipped > 0) {
        fault.skipped--;
        return 0;
    }
    if (fault.times > 0)
        fault.times--;
    errno = fault.error;
    return 1;
}

/* --- what the program that is recorded calls */

void recorder_watch(const char *directory)
{
    snprintf(root, sizeof root, "%s", directory);
}

void recorder_begin(const char *log)
{
    out = fopen(log, "wb");
}

void recorder_end(void)
{
    if (out)
        fclose(out);
    out = NULL;
}

void recorder_mark(const char *text)
{
    pthread_mutex_lock(&lock);
    put('M', -1, 0, text, strlen(text));
    pthread_mutex_unlock(&lock);
}

/* From the call after so many on, let calls on files whose path ends so fail so many times; -1: for ever. */
void recorder_fail(const char *call, const char *suffix, long skipped, long times, int error)
{
    snprintf(fault.call, sizeof fault.call, "%s", call);
    snprintf(fault.suffix, sizeof fault.suffix, "%s", suffix);
    fault.skipped = skipped;
    fault.error = error;
    fault.times = times;
}

/* --- files */

static int opened(int descriptor, const char *path, int flags, int was_there)
{
    if (descriptor < 0 || descriptor >= MOST_FILES || !is_below(path))
        return descriptor;
    free(names[descriptor]);
    names[descriptor] = strdup(path);
    put_path('O', descriptor, (was_there ? 0 : CREATED) | (flags & O_TRUNC ? EMPTIED : 0), path);
    return descriptor;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...)                              \
    {                                                                       \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                       \
        pthread_mutex_lock(&lock);                                          \
        int was_there = !is_below(path) || access(path, F_OK) == 0;         \
        int done = is_below(path) && is_failing("open", path) ? -1 : REAL(name)(path, flags, mode); \
        opened(done, path, flags, was_there);                               \
        pthread_mutex_unlock(&lock);                                        \
        return done;                                                        \
    }

OPEN(open)
OPEN(open64)

int close(int descriptor)
{
    pthread_mutex_lock(&lock);
    if (name_of(descriptor)) {
        put('C', descriptor, 0, "", 0);
        free(names[descriptor]);
        names[descriptor] = NULL;
    }
    int done = REAL(close)(descriptor);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int descriptor, const void *bytes, size_t length)
{
    if (!name_of(descriptor))
        return REAL(write)(descriptor, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t done = is_failing("write", name_of(descriptor)) ? -1 : REAL(write)(descriptor, bytes, length);
    if (done > 0)
        put('W', descriptor, lseek(descriptor, 0, SEEK_CUR) - done, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}

#define PWRITE(name, offset_type)                                                                   \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type offset)              \
    {                                                                                               \
        if (!name_of(descriptor))                                                                   \
            return REAL(name)(descriptor, bytes, length, offset);                                   \
        pthread_mutex_lock(&lock);                                                                  \
        int fails = is_failing("write", name_of(descriptor));                                       \
        ssize_t done = fails ? -1 : REAL(name)(descriptor, bytes, length, offset);                  \
        if (done > 0)                                                                               \
            put('W', descriptor, offset, bytes, done);                                              \
        pthread_mutex_unlock(&lock);                                                                \
        return done;                                                                                \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* --- mappings: seen is what the system writes to them, and not what a program stores there itself */

#define MMAP(name, offset_type)                                                                             \
    void *name(void *hint, size_t length, int protection, int flags, int descriptor, offset_type offset)    \
    {                                                                                                       \
        if (!(flags & MAP_SHARED) || !(protection & PROT_WRITE) || !name_of(descriptor))                    \
            return REAL(name)(hint, length, protection, flags, descriptor, offset);                         \
        pthread_mutex_lock(&lock);                                                                          \
        void *done = REAL(name)(hint, length, protection, flags, descriptor, offset);                       \
        for (int one = 0; done != MAP_FAILED && one <= MOST_MAPPINGS; one++) {                              \
            if (one == MOST_MAPPINGS) {                                                                     \
                fprintf(stderr, "recorder: there are too many mappings\n");                                 \
                abort();                                                                                    \
            }                                                                                               \
            if (mappings[one].length)                                                                       \
                continue;                                                                                   \
            mappings[one].begin = done;                                                                     \
            mappings[one].length = length;                                                                  \
            mappings[one].descriptor = descriptor;                                                          \
            mappings[one].offset = offset;                                                                  \
            break;                                                                                          \
        }                                                                                                   \
        pthread_mutex_unlock(&lock);                                                                        \
        return done;                                                                                        \
    }

MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

int munmap(void *begin, size_t length)
{
    pthread_mutex_lock(&lock);
    for (int one = 0; one < MOST_MAPPINGS; one++)
        if (mappings[one].length && mappings[one].begin == (char *)begin)
            mappings[one].length = 0;
    int done = REAL(munmap)(begin, length);
    pthread_mutex_unlock(&lock);
    return done;
}

static int mapping_of(const char *place)
{
    for (int one = 0; one < MOST_MAPPINGS; one++)
        if (place >= mappings[one].begin && place < mappings[one].begin + mappings[one].length)
            return one;
    return -1;
}

ssize_t readv(int descriptor, const struct iovec *places, int count)
{
    pthread_mutex_lock(&lock);
    int one = count == 1 ? mapping_of(places->iov_base) : -1;
    int fails = one >= 0 && is_failing("write", name_of(mappings[one].descriptor));
    ssize_t done = fails ? -1 : REAL(readv)(descriptor, places, count);
    if (done > 0 && one >= 0) {
        off_t at = mappings[one].offset + ((char *)places->iov_base - mappings[one].begin);
        put('W', mappings[one].descriptor, at, places->iov_base, done);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

#define PREAD(name, offset_type)                                                \
    ssize_t name(int descriptor, void *bytes, size_t length, offset_type offset) \
    {                                                                           \
        if (is_failing("read", name_of(descriptor)))                            \
            return -1;                                                          \
        return REAL(name)(descriptor, bytes, length, offset);                   \
    }

PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t read(int descriptor, void *bytes, size_t length)
{
    if (is_failing("read", name_of(descriptor)))
        return -1;
    return REAL(read)(descriptor, bytes, length);
}

#define TRUNCATE(name, length_type)                                                         \
    int name(int descriptor, length_type length)                                            \
    {                                                                                       \
        pthread_mutex_lock(&lock);                                                          \
        int fails = is_failing("truncate", name_of(descriptor));                            \
        int done = fails ? -1 : REAL(name)(descriptor, length);                             \
        if (done == 0 && name_of(descriptor))                                               \
            put('T', descriptor, length, "", 0);                                            \
        pthread_mutex_unlock(&lock);                                                        \
        return done;                                                                        \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                              \
    int name(int descriptor)                                                    \
    {                                                                           \
        if (!name_of(descriptor))                                               \
            return REAL(name)(descriptor);                                      \
        pthread_mutex_lock(&lock);                                              \
        int fails = is_failing("sync", name_of(descriptor));                    \
        if (!fails) /* the disk is a simulated one: nobody waits for the real */ \
            put('F', descriptor, 0, "", 0);                                     \
        pthread_mutex_unlock(&lock);                                            \
        return fails ? -1 : 0;                                                  \
    }

SYNC(fsync)
SYNC(fdatasync)

/* --- names */

int rename(const char *old, const char *new)
{
    pthread_mutex_lock(&lock);
    int done = is_below(old) && is_failing("rename", old) ? -1 : REAL(rename)(old, new);
    if (done == 0 && is_below(old) && is_below(new)) {
        char both[8192];
        int length = snprintf(both, sizeof both, "%s", old + strlen(root)) + 1;
        length += snprintf(both + length, sizeof both - length, "%s", new + strlen(root));
        put('R', -1, 0, both, length);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    int done = is_below(path) && is_failing("unlink", path) ? -1 : REAL(unlink)(path);
    if (done == 0 && is_below(path))
        put_path('U', -1, 0, path);
    pthread_mutex_unlock(&lock);
    return done;
}

/* --- what the simulated disk does not know, and nobody is to call without its being seen */

#define UNKNOWN(name, parameters, path_or_file, arguments)                          \
    int name parameters                                                             \
    {                                                                               \
        if (path_or_file) {                                                         \
            fprintf(stderr, "recorder: " #name " is not known to the simulator\n"); \
            abort();                                                                \
        }                                                                           \
        return REAL(name) arguments;                                                \
    }

UNKNOWN(truncate, (const char *path, off_t length), is_below(path), (path, length))
UNKNOWN(truncate64, (const char *path, off64_t length), is_below(path), (path, length))
UNKNOWN(fallocate, (int file, int mode, off_t at, off_t size), name_of(file), (file, mode, at, size))
UNKNOWN(fallocate64, (int file, int mode, off64_t at, off64_t size), name_of(file), (file, mode, at, size))
UNKNOWN(posix_fallocate, (int file, off_t at, off_t size), name_of(file), (file, at, size))
UNKNOWN(posix_fallocate64, (int file, off64_t at, off64_t size), name_of(file), (file, at, size))
UNKNOWN(link, (const char *old, const char *new), is_below(old), (old, new))
UNKNOWN(mkdir, (const char *path, mode_t mode), is_below(path) && strlen(path) > strlen(root), (path, mode))
