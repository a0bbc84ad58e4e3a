/* Looks on as a process syncs files, for disk.rs: keeps what each file held at its last sync, and which names a folder
 * had at its own. What was written since then is what a power cut takes. Loaded before the C library (LD_PRELOAD).
 *
 * WAYBILL_DISK_OF   the folder that is looked at
 * WAYBILL_DISK      where it is kept: <id> is a file as it was synced; <id>.d a folder, a name a line: "f <id> <name>";
 *                   and two files by which the test and the disk speak to each other:
 *   fault   "<nth> <lost|kept> <end of a path>": the nth sync of such a file, counted from when this file is there,
 *           fails: without effect, or although it took effect. It is the last that is kept. "*" ends every path.
 *   cut     once it is there, the power is off: every sync fails, and nothing is kept any more
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault { NONE, LOST, KEPT };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char disk[PATH_MAX - 300];
static long counted;

/* Says 1 of a folder, 0 of a file. Inode numbers are used again: with the time of birth they are not. */
static int id_of(int folder, const char *name, int flags, char id[64]) {
    struct statx found;
    if (statx(folder, name, flags | AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO | STATX_BTIME, &found)) return -1;
    snprintf(id, 64, "%llu-%lld-%u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
    return S_ISDIR(found.stx_mode);
}

static char *at(char path[PATH_MAX], const char *name, const char *end) {
    snprintf(path, PATH_MAX, "%s/%s%s", disk, name, end);
    return path;
}

/* Copies a file, holes as holes: a journal is made far longer than what is in it. */
static int copy_file(const char *from_path, const char *to_path) {
    int from = open(from_path, O_RDONLY | O_CLOEXEC), to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t end = lseek(from, 0, SEEK_END), start = 0;
    int failed = from < 0 || to < 0 || end < 0 || ftruncate(to, end);
    while (!failed && (start = lseek(from, start, SEEK_DATA)) >= 0 && start < end) {
        off_t hole = lseek(from, start, SEEK_HOLE), target = start;
        while (!failed && start < hole) failed = copy_file_range(from, &start, to, &target, hole - start, 0) <= 0;
    }
    close(from);
    close(to);
    return failed ? -1 : 0;
}

static int copy_names(const char *from_path, const char *to_path) {
    DIR *folder = opendir(from_path);
    FILE *to = fopen(to_path, "we");
    int failed = !folder || !to;
    for (struct dirent *item; !failed && (item = readdir(folder));) {
        char id[64];
        if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, "..")) continue;
        int is_folder = id_of(dirfd(folder), item->d_name, 0, id);
        if (is_folder < 0) continue; /* just removed */
        failed = fprintf(to, "%c %s %s\n", is_folder ? 'd' : 'f', id, item->d_name) < 0;
    }
    if (folder) closedir(folder);
    if (to) failed |= fclose(to);
    return failed ? -1 : 0;
}

/* What is to happen to this sync. */
static enum fault fault_at(const char *path) {
    char name[PATH_MAX], how[8], end[256];
    long nth;
    FILE *file = fopen(at(name, "fault", ""), "re");
    if (!file) return NONE;
    int read = fscanf(file, "%ld %7s %255s", &nth, how, end);
    fclose(file);
    size_t length = strlen(path);
    if (read != 3 || length < strlen(end)) return NONE;
    if (strcmp(end, "*") && strcmp(path + length - strlen(end), end)) return NONE;
    if (++counted != nth) return NONE;
    return strcmp(how, "lost") ? KEPT : LOST;
}

static int fail(void) {
    errno = EIO;
    return -1;
}

static int cut(void) {
    char name[PATH_MAX];
    close(open(at(name, "cut", ""), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return fail();
}

static int watched_sync(int (*real)(int), int fd, const char *link, const char *path) {
    char name[PATH_MAX], half[PATH_MAX], id[64];
    if (!access(at(name, "cut", ""), F_OK)) return fail();
    enum fault fault = fault_at(path);
    if (fault == LOST) return cut();
    int folder = id_of(fd, "", AT_EMPTY_PATH, id);
    if (folder < 0) return cut();
    /* Copied before the sync, so that nothing is kept that was written while it went on. */
    at(half, id, ".half");
    if (folder ? copy_names(link, half) : copy_file(link, half)) return cut();
    if (real(fd)) return -1;
    if (rename(half, at(name, id, folder ? ".d" : ""))) return cut();
    return fault == KEPT ? cut() : 0;
}

static int any_sync(const char *call, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    const char *kept = getenv("WAYBILL_DISK"), *of = getenv("WAYBILL_DISK_OF");
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!kept || !of || length < 0 || strncmp(path, of, strlen(of))) return real(fd);
    path[length] = 0;
    pthread_mutex_lock(&one_at_a_time);
    snprintf(disk, sizeof disk, "%s", kept);
    int result = watched_sync(real, fd, link, path);
    int error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int fsync(int fd) { return any_sync("fsync", fd); }
int fdatasync(int fd) { return any_sync("fdatasync", fd); }
