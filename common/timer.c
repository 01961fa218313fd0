#include "common/timer.h"

#include <assert.h>
#include <stdlib.h>

#define TICK_MS 16
#define N_SLOTS 1024 /* one revolution = 16.4 s */
#define N_WORDS (N_SLOTS / 64)

/* A timer lies in the slot of its tick modulo N_SLOTS; one that is farther than a revolution stays
 * there when the wheel passes. The lists are circular with their head inside. */
struct timer_wheel {
	uint64_t tick;              /* everything due up to this tick has been collected */
	uint64_t occupied[N_WORDS]; /* bit = the slot's list is not empty */
	struct timer due;           /* collected, not run yet */
	struct timer slots[N_SLOTS];
};

/* The first tick that is not before @at_ms. */
static uint64_t tick_of(uint64_t at_ms)
{
	return at_ms / TICK_MS + (at_ms % TICK_MS != 0);
}

static void list_init(struct timer *head)
{
	head->next = head->prev = head;
}

static bool list_is_empty(const struct timer *head)
{
	return head->next == head;
}

static void list_append(struct timer *head, struct timer *timer)
{
	timer->next = head;
	timer->prev = head->prev;
	head->prev->next = timer;
	head->prev = timer;
}

static void list_remove(struct timer *timer)
{
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->next = timer->prev = NULL;
}

/* The number of slots from that of tick @from to the first occupied one; -1 if there is none. */
static int slots_to_occupied(const struct timer_wheel *wheel, uint64_t from)
{
	unsigned slot = (unsigned)(from % N_SLOTS);
	unsigned i_first = slot / 64;
	uint64_t from_slot = ~(uint64_t)0 << (slot % 64);

	for (unsigned i = 0; i <= N_WORDS; i++) {
		unsigned i_word = (i_first + i) % N_WORDS;
		uint64_t word = wheel->occupied[i_word];
		if (i == 0)
			word &= from_slot;
		if (i == N_WORDS)
			word &= ~from_slot;
		if (word != 0) {
			unsigned found = i_word * 64 + (unsigned)__builtin_ctzll(word);
			return (int)((found + N_SLOTS - slot) % N_SLOTS);
		}
	}
	return -1;
}

int timer_wheel_new(uint64_t now_ms, struct timer_wheel **ret)
{
	struct timer_wheel *wheel = calloc(1, sizeof(*wheel));

	if (wheel == NULL)
		return ERR_NOMEM;
	wheel->tick = now_ms / TICK_MS;
	list_init(&wheel->due);
	for (unsigned i = 0; i < N_SLOTS; i++)
		list_init(&wheel->slots[i]);
	*ret = wheel;
	return 0;
}

void timer_wheel_free(struct timer_wheel *wheel)
{
	if (wheel == NULL)
		return;
	assert(slots_to_occupied(wheel, 0) < 0 && list_is_empty(&wheel->due));
	free(wheel);
}

bool timer_is_running(const struct timer *timer)
{
	return timer->next != NULL;
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
	unsigned slot;

	if (!timer_is_running(timer))
		return;
	list_remove(timer);
	slot = (unsigned)(tick_of(timer->at_ms) % N_SLOTS);
	if (list_is_empty(&wheel->slots[slot]))
		wheel->occupied[slot / 64] &= ~((uint64_t)1 << (slot % 64));
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t at_ms, timer_fn *fn)
{
	uint64_t tick = tick_of(at_ms);
	unsigned slot;

	timer_stop(wheel, timer);
	if (tick <= wheel->tick) { /* in the past: the next slot the wheel comes to */
		tick = wheel->tick + 1;
		at_ms = tick * TICK_MS;
	}
	slot = (unsigned)(tick % N_SLOTS);
	timer->at_ms = at_ms;
	timer->fn = fn;
	list_append(&wheel->slots[slot], timer);
	wheel->occupied[slot / 64] |= (uint64_t)1 << (slot % 64);
}

int timer_wheel_next_ms(const struct timer_wheel *wheel, uint64_t now_ms)
{
	int n_slots;
	uint64_t at_ms;

	if (!list_is_empty(&wheel->due))
		return 0;
	n_slots = slots_to_occupied(wheel, wheel->tick + 1);
	if (n_slots < 0)
		return -1;
	at_ms = (wheel->tick + 1 + (uint64_t)n_slots) * TICK_MS;
	if (at_ms <= now_ms)
		return 0;
	/* A caller whose clock went back would get a long wait; a revolution is the longest there
	 * is. */
	at_ms -= now_ms;
	return at_ms < N_SLOTS * TICK_MS ? (int)at_ms : N_SLOTS * TICK_MS;
}

/* Moves the timers of a slot that are due at @tick to the list of the due. */
static void collect_slot(struct timer_wheel *wheel, unsigned slot, uint64_t tick)
{
	struct timer *head = &wheel->slots[slot], *next;

	for (struct timer *t = head->next; t != head; t = next) {
		next = t->next;
		if (tick_of(t->at_ms) > tick)
			continue;
		list_remove(t);
		list_append(&wheel->due, t);
	}
	if (list_is_empty(head))
		wheel->occupied[slot / 64] &= ~((uint64_t)1 << (slot % 64));
}

/* Everything due is collected before the first callback runs: a callback that starts a timer in the
 * past is served by the next run, not by this one without end. */
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms)
{
	uint64_t now_tick = now_ms / TICK_MS;
	uint64_t from = wheel->tick + 1;

	if (now_tick > wheel->tick) {
		uint64_t n_left = now_tick - wheel->tick;
		uint64_t end = n_left < N_SLOTS ? now_tick + 1 : from + N_SLOTS;
		wheel->tick = now_tick;
		while (from < end) {
			int n_slots = slots_to_occupied(wheel, from);
			if (n_slots < 0 || (uint64_t)n_slots >= end - from)
				break;
			from += (uint64_t)n_slots;
			collect_slot(wheel, (unsigned)(from % N_SLOTS), now_tick);
			from++;
		}
	}
	while (!list_is_empty(&wheel->due)) {
		struct timer *timer = wheel->due.next;
		list_remove(timer);
		timer->fn(timer);
	}
}
