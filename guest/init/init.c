/*
 * PID 1 of a guest: mounts, network, hostname, then the agent; after that it only sleeps until a child dies.
 *
 * There is no init system besides: a guest that does nothing must touch no memory, because every page an idle guest
 * writes is a page that each branch copies. The agent is started again when it dies. SIGTERM powers the guest off,
 * SIGINT (Ctrl-Alt-Del) does the same.
 *
 * The network is QEMU's user network, which is the same in every sandbox, so the address is fixed and no DHCP client
 * runs. A step that fails is reported on the console and skipped: a guest without a network still answers there.
 *
 * Not handled: other services, logging, other network cards than eth0.
 */
#include "init.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUEST_ADDRESS "10.0.2.15"
#define GUEST_NETMASK "255.255.255.0"
#define GUEST_GATEWAY "10.0.2.2"
#define AGENT_RESTART_SECONDS 1
/* As the agent has them in its main.c. */
#define AGENT_CONFIG_FD 3
#define AGENT_STATE_FD 4
#define AGENT_PORTS_FD 5
#define STOP_GRACE_SECONDS 2

static void report(const char *what)
{
	fprintf(stderr, "bough: init: %s: %s\n", what, strerror(errno));
}

static void mount_at(const char *type, const char *path, unsigned long flags, const char *options)
{
	mkdir(path, 0755);
	if (mount(type, path, type, flags, options) != 0 && errno != EBUSY)
		report(path);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		report(path);
	if (fd >= 0)
		close(fd);
}

static void mount_all(const struct own_files *own)
{
	const unsigned long plain = MS_NOSUID | MS_NODEV;

	mount_at("proc", "/proc", plain | MS_NOEXEC, "");
	mount_at("sysfs", "/sys", plain | MS_NOEXEC, "");
	mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
	mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
	mount_at("tmpfs", "/dev/shm", plain, "mode=1777");
	mount_at("cgroup2", "/sys/fs/cgroup", plain | MS_NOEXEC, "");
	if (!own->is_imported) {
		mount_at("tmpfs", "/run", plain, "mode=0755");
		mount_at("tmpfs", "/tmp", plain, "mode=1777");
		mkdir("/run/lock", 01777);
	}
	if (symlink("/proc/self/fd", "/dev/fd") != 0 || symlink("/proc/self/fd/0", "/dev/stdin") != 0 ||
	    symlink("/proc/self/fd/1", "/dev/stdout") != 0 || symlink("/proc/self/fd/2", "/dev/stderr") != 0)
		report("/dev links");
}

static void put_file(const char *path, const char *text)
{
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	write_file(path, text);
}

/* What a container's runtime gives an image from elsewhere; its own would be of the machine it was made on, or is not there. */
static void complete_image(void)
{
	struct stat info;

	mkdir("/etc", 0755);
	if (stat("/etc/hosts", &info) != 0 || info.st_size == 0)
		put_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
	put_file("/etc/resolv.conf", "nameserver 10.0.2.3\noptions timeout:1 attempts:2\n");
	if (mkdir("/tmp", 01777) == 0)
		chmod("/tmp", 01777);
}

/*
 * What wakes an idle kernel up: statistics every second, the hung task check, and twice a second a look whether memory is
 * scattered enough to be compacted before anyone asks. Memory is still compacted when somebody needs large pages.
 */
static void quiet_kernel(void)
{
	write_file("/proc/sys/vm/compaction_proactiveness", "0");
	write_file("/proc/sys/vm/stat_interval", "3600");
	write_file("/proc/sys/kernel/hung_task_timeout_secs", "0");
}

#define DEBUGFS "/sys/kernel/debug"
#define FAIR_SERVERS DEBUGFS "/sched/fair_server"

/*
 * From Linux 6.8 on a server of each processor keeps a twentieth of it for programs of no real-time priority, of which the agent is the only one here, by a
 * timer that goes off each second in which anything has run. The same share of the longest period that it takes (4.19 s) wakes a quarter as often.
 */
static void stretch_fair_servers(void)
{
	char path[sizeof FAIR_SERVERS + 280];
	struct dirent *entry;
	DIR *servers;

	if (mount("debugfs", DEBUGFS, "debugfs", 0, NULL) != 0)
		return;
	servers = opendir(FAIR_SERVERS);
	while (servers && (entry = readdir(servers))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, FAIR_SERVERS "/%s/period", entry->d_name);
		write_file(path, "4000000000");
		snprintf(path, sizeof path, FAIR_SERVERS "/%s/runtime", entry->d_name);
		write_file(path, "200000000");
	}
	if (servers)
		closedir(servers);
	umount(DEBUGFS);
}

#define HPET_PATH "/sys/bus/acpi/devices/PNP0103:00"
#define HPET_ADDRESS 0xfed00000
/* IA-PC HPET specification 1.0a, 2.3.8: the configuration of timer 0, in which bit 2 turns its interrupt on and bit 3 repeats it. */
#define TIMER0_CONFIG (0x100 / sizeof(uint32_t))
#define TIMER_INTERRUPTS (1u << 2)
#define TIMER_REPEATS (1u << 3)

/*
 * The kernel starts with a tick of the HPET's timer 0, and once it has a better one turns off the interrupt alone. QEMU 10
 * goes on to expire such a timer for nobody, 250 times a second; one that does not repeat ends by itself.
 */
static void end_unheard_timer(void)
{
	volatile uint32_t *registers;
	int fd;

	if (access(HPET_PATH, F_OK) != 0)
		return;
	fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0) {
		report("/dev/mem");
		return;
	}
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, HPET_ADDRESS);
	close(fd);
	if (registers == MAP_FAILED) {
		report("HPET");
		return;
	}
	if ((registers[TIMER0_CONFIG] & TIMER_INTERRUPTS) == 0)
		registers[TIMER0_CONFIG] &= ~TIMER_REPEATS;
	munmap((void *)registers, 4096);
}

/* What a user puts in the way of another's program, in a folder that both may write to, is not followed, linked or opened. */
static void protect_names(void)
{
	write_file("/proc/sys/fs/protected_hardlinks", "1");
	write_file("/proc/sys/fs/protected_symlinks", "1");
	write_file("/proc/sys/fs/protected_fifos", "1");
	write_file("/proc/sys/fs/protected_regular", "1");
}

static void set_address(int fd, unsigned long request, const char *name, const char *address)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr; /* as ioctl(SIOCSIF*ADDR) defines it */

	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	if (ioctl(fd, request, &ifr) != 0)
		report(name);
}

static void bring_up(int fd, const char *name)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) != 0)
		report(name);
}

static void add_default_route(int fd)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct sockaddr_in gateway = { .sin_family = AF_INET };

	inet_pton(AF_INET, GUEST_GATEWAY, &gateway.sin_addr);
	memcpy(&route.rt_dst, &any, sizeof any);
	memcpy(&route.rt_genmask, &any, sizeof any);
	memcpy(&route.rt_gateway, &gateway, sizeof gateway);
	if (ioctl(fd, SIOCADDRT, &route) != 0)
		report("default route");
}

static void start_network(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		report("socket");
		return;
	}
	bring_up(fd, "lo");
	if (if_nametoindex("eth0") != 0) {
		/* Before the link is up: no router solicitation, no address, no timers. ::1 still works. */
		if (access("/proc/sys/net/ipv6/conf/eth0", F_OK) == 0)
			write_file("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
		set_address(fd, SIOCSIFADDR, "eth0", GUEST_ADDRESS);
		set_address(fd, SIOCSIFNETMASK, "eth0", GUEST_NETMASK);
		bring_up(fd, "eth0");
		add_default_route(fd);
	}
	close(fd);
}

static void set_hostname(void)
{
	char name[65] = "bough";
	FILE *file = fopen("/etc/hostname", "re");

	if (file != NULL) {
		if (fgets(name, sizeof name, file) != NULL)
			name[strcspn(name, "\n")] = 0;
		fclose(file);
	}
	if (sethostname(name, strlen(name)) != 0)
		report("hostname");
}

/* The descriptor under that number, for the agent and not only for us. */
static void pass(int fd, int number)
{
	if (dup2(fd, number) < 0)
		report("cannot pass a descriptor");
}

static pid_t start_agent(const struct own_files *own, const sigset_t *original)
{
	char *const argv[] = { "bough-agent", NULL };
	char *const env[] = { NULL };
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	sigprocmask(SIG_SETMASK, original, NULL);
	setsid();
	/* When memory runs out the user's program goes, not the only way in; the agent resets this for what it starts. */
	write_file("/proc/self/oom_score_adj", "-900");
	pass(own->config, AGENT_CONFIG_FD);
	pass(own->state, AGENT_STATE_FD);
	pass(own->devices, AGENT_PORTS_FD);
	syscall(SYS_execveat, own->agent, "", argv, env, AT_EMPTY_PATH);
	report("cannot start the agent");
	_exit(127);
}

static void power_off(void)
{
	struct timespec grace = { .tv_sec = STOP_GRACE_SECONDS };
	sigset_t child;

	kill(-1, SIGTERM);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (waitpid(-1, NULL, WNOHANG) >= 0 || errno == EINTR)
		if (sigtimedwait(&child, NULL, &grace) < 0 && errno == EAGAIN)
			break;
	kill(-1, SIGKILL);
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	reboot(RB_POWER_OFF);
}

void serve_guest(const struct own_files *own)
{
	const struct timespec restart = { .tv_sec = AGENT_RESTART_SECONDS };
	sigset_t wanted, original;
	pid_t agent;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigprocmask(SIG_BLOCK, &wanted, &original);
	reboot(RB_DISABLE_CAD);
	umask(022);
	mount_all(own);
	if (own->is_imported)
		complete_image();
	quiet_kernel();
	stretch_fair_servers();
	end_unheard_timer();
	protect_names();
	set_hostname();
	start_network();
	agent = start_agent(own, &original);
	for (;;) {
		int signal = sigwaitinfo(&wanted, NULL);
		pid_t pid;

		if (signal == SIGTERM || signal == SIGINT)
			power_off();
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
			if (pid != agent)
				continue;
			nanosleep(&restart, NULL);
			agent = start_agent(own, &original);
		}
	}
}
