#define _GNU_SOURCE
#include "ground.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer.h"

void ground_lay(struct ground *ground, const struct ram *ram, size_t mapped)
{
	*ground = (struct ground){.ram = ram, .mapped = mapped};
}

static bool lay_layer(struct ground *ground, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;

	if (fd < 0)
		return false;
	ground->own_fds[ground->own_count++] = fd; /* closed with the others, whatever it turns out to be */
	return fstat(fd, &info) == 0 && (size_t)info.st_size == ground->ram->bytes;
}

bool ground_lay_own(struct ground *ground, const char *const *paths, size_t count, size_t runs)
{
	bool usable = count <= GROUND_MAX_OWN;

	for (size_t i = 0; i < count && usable; i++)
		usable = lay_layer(ground, paths[i]);
	for (size_t i = 0; i < ground->own_count && usable && runs == 0; i++)
		usable = layer_count_runs(ground->own_fds[i], &ground->own_runs) == 0;
	if (runs > 0)
		ground->own_runs = runs;
	if (usable && ground->own_runs <= ram_run_budget(ground->ram, ground->mapped) / 2)
		return true;
	ground_close(ground);
	return false;
}

void ground_close(struct ground *ground)
{
	while (ground->own_count > 0)
		close(ground->own_fds[--ground->own_count]);
	ground->own_runs = 0;
}

size_t ground_run_budget(const struct ground *ground)
{
	size_t budget = ram_run_budget(ground->ram, ground->mapped);

	return budget > ground->own_runs ? budget - ground->own_runs : 0;
}

int ground_layer_fd(const struct ground *ground, size_t index)
{
	if (index < ground->mapped)
		return ground->ram->layer_fds[index];
	return index - ground->mapped < ground->own_count ? ground->own_fds[index - ground->mapped] : -1;
}
