#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "names.h"

#define MIN_SECRET_CHARACTERS 16
#define MIN_SEED_BYTES 32
#define STATE_FILE "agent.json"
#define MAX_STATE_BYTES (16u << 20)

/* As linux/random.h has them, which musl's compiler does not find. */
#define RNDADDENTROPY 0x40085203
#define RNDRESEEDCRNG 0x5207

static char *secret;
static struct env environment;
static int folder_fd = -1;
static int random_fd = -1;
static bool may_change;

bool identity_claimed(void)
{
	return secret != NULL;
}

const struct env *identity_env(void)
{
	return &environment;
}

bool identity_knows(struct json request)
{
	struct problem ignored;
	char *given = NULL;
	size_t length;
	unsigned char difference = 0;
	bool same_length;

	if (secret == NULL || field_text(request, "secret", &given, &ignored) != 0 || given == NULL)
		return false;
	length = strlen(given);
	same_length = length == strlen(secret);
	/* As long as what was given, whatever it is: the time tells nothing about ours. */
	for (size_t i = 0; i < length; i++)
		difference |= (unsigned char)(given[i] ^ secret[same_length ? i : 0]); /* bits, not a character */
	free(given);
	return same_length && difference == 0;
}

static int load(void)
{
	int fd = openat(folder_fd, STATE_FILE, O_RDONLY | O_CLOEXEC);
	struct text state = { 0 };
	struct problem ignored;
	struct json json;
	int error = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	while (state.length < MAX_STATE_BYTES && text_reserve(&state, 65536)) {
		ssize_t count = read(fd, state.bytes + state.length, 65536);

		if (count <= 0)
			break;
		state.length += (size_t)count; /* not negative */
	}
	close(fd);
	if (state.failed || json_check(state.bytes, state.length, &json) != 0)
		error = -EIO;
	else if (field_required_text(json, "secret", &secret, &ignored) != 0 ||
		 field_env(json, "env", &environment, &ignored) != 0)
		error = -EIO;
	text_free(&state);
	return error == 0 ? env_settle(&environment) : error;
}

static int save(void)
{
	struct text state = { 0 };
	int fd = openat(folder_fd, STATE_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error = fd < 0 ? -errno : 0;

	text_put(&state, "{\"secret\":");
	text_quote(&state, secret, strlen(secret));
	text_put(&state, ",\"env\":");
	env_quote(&environment, &state);
	text_put(&state, "}");
	if (state.failed)
		error = -ENOMEM;
	if (error == 0 && write(fd, state.bytes, state.length) != (ssize_t)state.length)
		error = -EIO;
	if (error == 0 && renameat(folder_fd, STATE_FILE ".new", folder_fd, STATE_FILE) != 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	text_free(&state);
	return error;
}

int identity_open(int state_fd, bool privileged)
{
	folder_fd = state_fd;
	may_change = privileged;
	/* Opened once: nothing that is done to the guest's /dev later can keep a child from being reseeded. */
	if (privileged && (random_fd = open("/dev/urandom", O_RDWR | O_CLOEXEC)) < 0)
		return -errno;
	return load();
}

/* Everything a request asks for, read before anything is done. */
struct wanted {
	char *secret, *hostname, *machine_id;
	unsigned char *seed;
	size_t seed_bytes;
	int64_t unix_time_ns;
	struct env env;
};

static void forget(struct wanted *wanted)
{
	free(wanted->secret);
	free(wanted->hostname);
	free(wanted->machine_id);
	free(wanted->seed);
	env_free(&wanted->env);
}

static int check_secret(const char *text, struct problem *problem)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		if ((text[i] & 0x80) != 0)
			length = 0;
	if (length >= MIN_SECRET_CHARACTERS)
		return 0;
	snprintf(problem->text, sizeof problem->text, "new_secret must have at least %d ASCII characters",
		 MIN_SECRET_CHARACTERS);
	return -EINVAL;
}

static int read_wanted(struct json request, struct wanted *wanted, struct problem *problem)
{
	int error = field_required_text(request, "new_secret", &wanted->secret, problem);

	if (error == 0)
		error = check_secret(wanted->secret, problem);
	if (error == 0)
		error = field_base64(request, "seed", MIN_SEED_BYTES, &wanted->seed, &wanted->seed_bytes, problem);
	if (error == 0)
		error = field_nanoseconds(request, "unix_time_ns", &wanted->unix_time_ns, problem);
	if (error == 0)
		error = field_text(request, "hostname", &wanted->hostname, problem);
	if (error == 0)
		error = field_text(request, "machine_id", &wanted->machine_id, problem);
	if (error == 0)
		error = field_env(request, "env", &wanted->env, problem);
	return error == 0 ? env_settle(&wanted->env) : error;
}

static int reseed(const unsigned char *seed, size_t length)
{
	struct {
		int entropy_bits, bytes;
		unsigned char seed[512];
	} pool; /* struct rand_pool_info */

	pool.bytes = (int)(length < sizeof pool.seed ? length : sizeof pool.seed);
	pool.entropy_bits = pool.bytes * 8;
	memcpy(pool.seed, seed, (size_t)pool.bytes);
	if (ioctl(random_fd, RNDADDENTROPY, &pool) != 0 || ioctl(random_fd, RNDRESEEDCRNG) != 0)
		return -errno;
	return 0;
}

int identity_set_clock(int64_t unix_time_ns)
{
	const struct timespec time = { .tv_sec = unix_time_ns / 1000000000, .tv_nsec = unix_time_ns % 1000000000 };

	if (!may_change)
		return 0;
	return clock_settime(CLOCK_REALTIME, &time) != 0 ? -errno : 0;
}

static int failed(struct problem *problem, const char *step, int error)
{
	snprintf(problem->text, sizeof problem->text, "%s: %s", step, strerror(-error));
	return -EIO;
}

/* Random numbers first: what a program draws before them is what its twin draws. Then the clock, then names. */
static int apply(const struct wanted *wanted, struct problem *problem)
{
	int error = reseed(wanted->seed, wanted->seed_bytes);

	if (error != 0)
		return failed(problem, "the random number generator cannot be reseeded", error);
	error = identity_set_clock(wanted->unix_time_ns);
	if (error != 0)
		return failed(problem, "the clock cannot be set", error);
	if (wanted->hostname != NULL && (error = names_set_hostname(wanted->hostname)) != 0)
		return failed(problem, "the hostname cannot be set", error);
	if (wanted->machine_id != NULL)
		names_set_machine_id(wanted->machine_id);
	return 0;
}

int identity_take(struct json request, struct problem *problem)
{
	struct wanted wanted = { 0 };
	int error = read_wanted(request, &wanted, problem);

	if (error == 0 && may_change)
		error = apply(&wanted, problem);
	if (error == 0) {
		free(secret);
		env_free(&environment);
		secret = wanted.secret;
		environment = wanted.env;
		wanted.secret = NULL;
		wanted.env = (struct env){ 0 };
		error = save();
		if (error != 0)
			error = failed(problem, "the agent's state cannot be kept", error);
	}
	forget(&wanted);
	return error;
}

int identity_add_env(struct json request, struct problem *problem)
{
	struct env env = { 0 };
	int error = env_add(&env, &environment);

	if (error == 0)
		error = field_env(request, "env", &env, problem);
	if (error == 0)
		error = env_settle(&env);
	if (error != 0) {
		env_free(&env);
		return error;
	}
	env_free(&environment);
	environment = env;
	error = save();
	return error == 0 ? 0 : failed(problem, "the agent's state cannot be kept", error);
}
