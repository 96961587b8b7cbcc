// A layer between a process and the system, by LD_PRELOAD: it counts what changes files below a folder, and kills the
// process with SIGKILL at one of these points. There is a point before each call, and one amid each write, of which the
// first half is done then.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static long at, last;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

// Begin to count in a folder, and kill at the k-th point; 0 kills at none.
void begin_to_count(const char *folder, long k) {
  at = 0;
  last = k;
  snprintf(below, sizeof below, "%s/", folder);
}

// The points so far.
long points_so_far(void) { return at; }

static int is_point(void) {
  pthread_mutex_lock(&one);
  int is_last = ++at == last;
  pthread_mutex_unlock(&one);
  return is_last;
}

static void point(void) {
  if (is_point()) kill(getpid(), SIGKILL);
}

static int is_below(int folder, const char *path) {
  char whole[2 * PATH_MAX] = "", link[64];
  if (!*below || !path) return 0;
  if (*path != '/') {
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, whole, PATH_MAX - 1);
    if (n < 0) return 0;
    whole[n] = 0;
  }
  size_t n = strlen(whole);
  snprintf(whole + n, sizeof whole - n, "/%s", *path == '/' ? path + 1 : path);
  return !strncmp(whole, below, strlen(below));
}

static int is_open_below(int file) { return is_below(file, ""); }

static void path_point(int folder, const char *path) {
  if (is_below(folder, path)) point();
}

#define USUAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name, folder, given, ...) \
  int name given { \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list more; \
      va_start(more, flags); \
      mode = va_arg(more, mode_t); \
      va_end(more); \
    } \
    if (flags & (O_CREAT | O_TRUNC)) path_point(folder, path); \
    return USUAL(name)(__VA_ARGS__, flags, mode); \
  }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(openat, folder, (int folder, const char *path, int flags, ...), folder, path)
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), folder, path)

#define AT_PATH(name, folder, path, given, ...) \
  int name given { \
    path_point(folder, path); \
    return USUAL(name)(__VA_ARGS__); \
  }
AT_PATH(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
AT_PATH(mkdirat, folder, path, (int folder, const char *path, mode_t mode), folder, path, mode)
AT_PATH(rmdir, AT_FDCWD, path, (const char *path), path)
AT_PATH(unlink, AT_FDCWD, path, (const char *path), path)
AT_PATH(unlinkat, folder, path, (int folder, const char *path, int flags), folder, path, flags)
AT_PATH(truncate, AT_FDCWD, path, (const char *path, off_t size), path, size)
AT_PATH(truncate64, AT_FDCWD, path, (const char *path, off64_t size), path, size)
AT_PATH(rename, AT_FDCWD, to, (const char *from, const char *to), from, to)
AT_PATH(renameat, b, to, (int a, const char *from, int b, const char *to), a, from, b, to)
AT_PATH(renameat2, b, to, (int a, const char *from, int b, const char *to, unsigned flags), a, from, b, to, flags)
AT_PATH(chmod, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
AT_PATH(fchmodat, folder, path, (int folder, const char *path, mode_t mode, int flags), folder, path, mode, flags)

#define AT_FILE(type, name, file, given, ...) \
  type name given { \
    if (is_open_below(file)) point(); \
    return USUAL(name)(__VA_ARGS__); \
  }
AT_FILE(int, fsync, file, (int file), file)
AT_FILE(int, fdatasync, file, (int file), file)
AT_FILE(int, ftruncate, file, (int file, off_t size), file, size)
AT_FILE(int, ftruncate64, file, (int file, off64_t size), file, size)
AT_FILE(int, fchmod, file, (int file, mode_t mode), file, mode)
AT_FILE(int, posix_fallocate, file, (int file, off_t from, off_t size), file, from, size)
AT_FILE(int, posix_fallocate64, file, (int file, off64_t from, off64_t size), file, from, size)

#define WRITE(name, file, half, given, ...) \
  ssize_t name given { \
    if (is_open_below(file)) { \
      point(); \
      if (is_point()) { \
        half; \
        kill(getpid(), SIGKILL); \
      } \
    } \
    return USUAL(name)(__VA_ARGS__); \
  }
WRITE(write, file, USUAL(write)(file, from, n / 2), (int file, const void *from, size_t n), file, from, n)
WRITE(pwrite, file, USUAL(pwrite)(file, from, n / 2, place),
      (int file, const void *from, size_t n, off_t place), file, from, n, place)
WRITE(pwrite64, file, USUAL(pwrite64)(file, from, n / 2, place),
      (int file, const void *from, size_t n, off64_t place), file, from, n, place)
WRITE(writev, file, USUAL(writev)(file, parts, n / 2), (int file, const struct iovec *parts, int n), file, parts, n)
WRITE(sendfile, to, USUAL(sendfile)(to, from, place, n / 2), (int to, int from, off_t *place, size_t n),
      to, from, place, n)
WRITE(sendfile64, to, USUAL(sendfile64)(to, from, place, n / 2), (int to, int from, off64_t *place, size_t n),
      to, from, place, n)
WRITE(copy_file_range, to, USUAL(copy_file_range)(from, a, to, b, n / 2, flags),
      (int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags), from, a, to, b, n, flags)
