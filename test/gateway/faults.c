// Loaded before libc by test/gateway/disk.test.ts: makes writes and syncs of the record's files fail or hang as the file that
// SLUICE_FAULT names says ("write", "sync", "stall"), for files whose path has SLUICE_FAULT_PATH in it. Linux only.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int told(const char *what) {
  const char *name = getenv("SLUICE_FAULT");
  if (name == NULL) return 0;
  int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[32] = {0};
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 && strstr(text, what) != NULL;
}
static int ours(int file) {
  char link[64], path[4096];
  const char *part = getenv("SLUICE_FAULT_PATH");
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || part == NULL) return 0;
  path[length] = 0;
  return strstr(path, part) != NULL && (strstr(path, ".seg") != NULL || strstr(path, ".probe-") != NULL);
}
static int fails(int file, const char *what) { if (!told(what) || !ours(file)) return 0; errno = EIO; return 1; }

typedef ssize_t (*pwrite_t)(int, const void *, size_t, off_t);
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
  static pwrite_t real;
  if (real == NULL) real = (pwrite_t)dlsym(RTLD_NEXT, "pwrite");
  return fails(file, "write") ? -1 : real(file, bytes, length, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (real == NULL) real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  return fails(file, "write") ? -1 : real(file, bytes, length, at);
}
static int sync_with(const char *name, int file) {
  if (fails(file, "sync")) return -1;
  while (told("stall") && ours(file)) usleep(20000);
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  return real(file);
}
int fdatasync(int file) { return sync_with("fdatasync", file); }
int fsync(int file) { return sync_with("fsync", file); }
