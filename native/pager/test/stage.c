/*
 * stage.c - the stage of one branch serves the next, and holds nothing of it. One larger than the least is given back.
 */
#include "../stage.h"
#include "../../test/check.h"

uint64_t check_seed;
_Atomic unsigned long check_count;

int main(void)
{
	struct stage stage = {0};
	const uint8_t *memory;

	stage_release(&stage);
	CHECK(stage_reserve(&stage, 0) == 0 && stage.bytes == STAGE_LEAST_BYTES, "%zu bytes", stage.bytes);
	memory = stage.memory;
	stage.tail_bytes = stage.page_bytes = 1;
	stage_release(&stage);
	CHECK(memory && stage.memory == memory, "the memory is not kept");
	CHECK(stage.tail_bytes == 0 && stage.page_bytes == 0, "what was staged is kept");
	CHECK(stage_reserve(&stage, STAGE_MIN_PAGES) == 0 && stage.memory == memory, "the next does not get it");

	CHECK(stage_reserve(&stage, STAGE_MAX_PAGES + 1) == 0, "nothing larger can be had");
	CHECK(stage.bytes == STAGE_TAIL_BYTES + STAGE_MAX_PAGES * PAGE_BYTES, "%zu bytes", stage.bytes);
	stage.memory[0] = stage.memory[stage.bytes - 1] = 1;
	stage_release(&stage);
	CHECK(!stage.memory && stage.bytes == 0, "the larger one is kept");
	CHECK(stage_reserve(&stage, 0) == 0 && stage.memory[0] == 0, "nothing can be had after that");
	stage_release(&stage);
	printf("stage: %lu checks\n", check_count);
	return 0;
}
