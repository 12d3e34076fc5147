/*
 * /init of the initramfs: the shortest way from the kernel to the root file system.
 *
 * Loads /modules/00.ko, 01.ko, ... in that order (the image builder sorted them by dependency), mounts root=, opens what
 * it brought along, moves there and serves the guest (init.h). Nothing in the image is needed for that. Prints "bough: init" first of all: whoever sees that line on the console knows that this
 * machine really runs a kernel. With bough.probe=1 on the command line it powers off right after that line, which is
 * how an accelerator is tried out without a disk.
 *
 * Not handled: root=UUID=, file systems other than ext4, hot-plugged disks.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FIRST_OWN_FD 10

static char cmdline[4096];

static void say(const char *text)
{
	ssize_t ignored = write(STDOUT_FILENO, text, strlen(text));
	(void)ignored;
}

/* A kernel whose init returns panics, and panic=-1 reboots: power off instead, so that the VMM exits. */
static void fail(const char *what)
{
	char line[256];

	snprintf(line, sizeof line, "bough: initramfs: %s: %s\n", what, strerror(errno));
	say(line);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void read_cmdline(void)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, cmdline, sizeof cmdline - 1);

	if (n < 0)
		fail("cannot read /proc/cmdline");
	if (n > 0 && cmdline[n - 1] == '\n')
		cmdline[n - 1] = 0;
	close(fd);
}

/* The value of "name=" on the command line, the last one as the kernel does, or fallback. */
static const char *option(const char *name, const char *fallback)
{
	static char words[sizeof cmdline];
	const char *found = fallback;
	size_t length = strlen(name);
	char *rest = words;
	char *word;

	memcpy(words, cmdline, sizeof words);
	while ((word = strsep(&rest, " ")) != NULL)
		if (strncmp(word, name, length) == 0 && word[length] == '=')
			found = word + length + 1;
	return found;
}

static int flag(const char *name)
{
	char copy[sizeof cmdline];
	char *rest = copy;
	char *word;

	memcpy(copy, cmdline, sizeof copy);
	while ((word = strsep(&rest, " ")) != NULL)
		if (strcmp(word, name) == 0)
			return 1;
	return 0;
}

static void load_modules(void)
{
	for (int i = 0;; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof path, "/modules/%02d.ko", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
			fail(path);
		close(fd);
		unlink(path);
	}
}

/* The disk is there as soon as its driver is, on every machine we start; a slow one gets ten seconds. */
static void mount_root(const char *device, unsigned long flags)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (int attempt = 0; access(device, F_OK) != 0; attempt++) {
		if (attempt == 1000)
			fail(device);
		nanosleep(&pause, NULL);
	}
	mkdir("/root", 0755);
	if (mount(device, "/root", "ext4", flags, "") != 0)
		fail("cannot mount the root file system");
}

/* Above the numbers under which the agent gets them, so that passing one never overwrites another. */
static int open_own(const char *path, int flags)
{
	int low = open(path, flags | O_CLOEXEC);
	int fd = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, FIRST_OWN_FD);

	if (fd < 0)
		fail(path);
	close(low);
	return fd;
}

static struct own_files open_own_files(void)
{
	mkdir("/state", 0700);
	return (struct own_files){
		.agent = open_own("/agent", O_RDONLY),
		.config = open_own("/agent.json", O_RDONLY),
		.is_imported = access("/imported", F_OK) == 0,
		.state = open_own("/state", O_RDONLY | O_DIRECTORY),
		.devices = open_own("/root/dev", O_RDONLY | O_DIRECTORY),
	};
}

int main(void)
{
	struct own_files own;
	char device[128];

	say("bough: init\n");
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "") != 0)
		fail("cannot mount /proc");
	read_cmdline();
	if (strcmp(option("bough.probe", "0"), "1") == 0) {
		reboot(RB_POWER_OFF);
		_exit(1);
	}
	if (mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") != 0)
		fail("cannot mount /dev");
	load_modules();
	snprintf(device, sizeof device, "%s", option("root", "/dev/vda"));
	mount_root(device, MS_NOATIME | (flag("ro") ? MS_RDONLY : 0));
	/* An image that was made elsewhere may have neither. */
	mkdir("/root/dev", 0755);
	mkdir("/root/proc", 0555);
	if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) != 0 || mount("/proc", "/root/proc", NULL, MS_MOVE, NULL) != 0)
		fail("cannot move /dev and /proc");
	own = open_own_files();
	if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
		fail("cannot switch to the root file system");
	serve_guest(&own);
}
